// What only the sweep of a whole cluster needs. In the bundle it is one file, which a sweep of one server does not load.
export { createAutoPause } from './auto-pause.ts'
export { createCluster } from './cluster.ts'
export { passOverCluster } from './cluster-pass.ts'
export { createMembers } from './members.ts'
