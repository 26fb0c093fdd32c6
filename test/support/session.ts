import { type Policy, type PolicyInput, parsePolicy } from '../../lambda/core/policy.ts'
import type { Session, Snapshot } from '../../lambda/core/session.ts'

let lastPid = 1000

/** An idle session of an application, one minute old; a test says what is different. */
export function session(different: Partial<Session> = {}): Session {
  lastPid += 1
  return {
    pid: lastPid,
    user: 'shop_app',
    database: 'shop',
    application: 'php',
    client: '10.0.1.7',
    state: 'idle',
    backendStart: `17000000${lastPid}.000001`,
    stateChange: `17000000${lastPid}.000002`,
    ageSeconds: 60,
    transactionSeconds: null,
    superuser: false,
    owned: false,
    listening: false,
    backup: null,
    advisoryLock: false,
    replicationSlot: false,
    ...different,
  }
}

/** A look of the role `reaper` at a server of 100 slots, 3 of them reserved. */
export function snapshot(sessions: Session[], different: Partial<Snapshot> = {}): Snapshot {
  return {
    serverVersion: 180004,
    atMs: 1_767_225_600_000,
    ownPid: 1,
    ownUser: 'reaper',
    maySignal: true,
    signaller: { isMember: false, inherits: true },
    slots: { max: 100, reserved: 3 },
    opened: 1000,
    sessions,
    ...different,
  }
}

export function policy(input: PolicyInput): Policy {
  const parsed = parsePolicy(input)
  if (!parsed.ok) throw new Error(parsed.problems.join('; '))
  return parsed.value
}
