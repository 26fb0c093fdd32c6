// What a sweep needs only once it connects or finds something to do, and what loads the driver. In the bundle it is
// one file: at a start, Node.js takes longer to find, read and link a file than to compile it.
export { notices } from './notices.ts'
export { connect } from './postgres/connect.ts'
export { findInstances, identify } from './postgres/instances.ts'
export { readHolders } from './postgres/locks.ts'
export { preflight } from './postgres/preflight.ts'
export { LEAST_REAP_MS, reap } from './postgres/reap.ts'
export { blind, explainRefusal } from './postgres/rights.ts'
