/**
 * `server_version_num` of PostgreSQL 16. Earlier releases write application names and inherit grants
 * differently.
 */
export const PG_16 = 160000

/** The states that a rule can name, as `pg_stat_activity.state` spells them. */
export const RULE_STATES = [
  'idle',
  'idle in transaction',
  'idle in transaction (aborted)',
  'active',
] as const

export type RuleState = (typeof RULE_STATES)[number]

/** One client backend: a row of `pg_stat_activity` with `backend_type = 'client backend'`. */
export type Session = {
  pid: number
  /** NULL while a connection authenticates (18+), and if the role was dropped. */
  user: string | null
  database: string | null
  application: string
  /** An address, or `local` for the Unix socket. */
  client: string
  /** Besides the states of `RULE_STATES`: NULL, `starting`, `disabled` and `fastpath function call`. */
  state: string | null
  /**
   * Seconds since the epoch, as text with microseconds. Identities are compared as text, which keeps the
   * microseconds.
   */
  backendStart: string
  /** As `backendStart`. The server sets it each time that the session reports a state. */
  stateChange: string | null
  /** Seconds in the current state by the server's clock; NULL if the server does not track it. */
  ageSeconds: number | null
  /** Seconds since the transaction began; NULL outside one. */
  transactionSeconds: number | null
  /** Whether the owner is a superuser; NULL if the owner could not be found. */
  superuser: boolean | null
  /** The sweep's role has the rights of the owner, so it may signal the session without any further right. */
  owned: boolean
  /** The last query runs LISTEN, or may run it in the part that the server did not keep. */
  listening: boolean
  /** True between the start and the stop of a backup; NULL if the last query names neither. */
  backup: boolean | null
  /** Holds an advisory lock in any database of this server; NULL if that was not checked. */
  advisoryLock: boolean | null
  /** Has a replication slot in use; a temporary slot always is. NULL if that was not checked. */
  replicationSlot: boolean | null
}

/** One read of all sessions and of the slot settings. */
export type Snapshot = {
  /** As `server_version_num`, for example 180004. */
  serverVersion: number
  /** When the snapshot was taken, by the server's clock, ms since the epoch. */
  atMs: number
  /** The sweep's own process. It is not among `sessions` if the sweep connected as a walsender. */
  ownPid: number
  /** The sweep's role, as it logged in. */
  ownUser: string
  /** Whether that role may signal the sessions of roles that it is not a member of. */
  maySignal: boolean
  /**
   * Whether that role is a member of `pg_signal_backend`, and whether it inherits: without that it can't use
   * the right.
   */
  signaller: { isMember: boolean; inherits: boolean }
  slots: { max: number; reserved: number }
  /** Sessions opened since the statistics of the server's databases were last reset. */
  opened: number
  sessions: Session[]
}

/**
 * The identity of a session, as one text. The pid alone is not enough, because another session may have it by
 * now.
 */
export function identityOf({ pid, backendStart }: Session): string {
  return `${pid} ${backendStart}`
}

/**
 * Seconds from an instant until `now`, both in seconds since the epoch; NULL for no instant. If the server's
 * clock was set back, it is 0 and not negative.
 */
export function secondsSince(instant: string | null, now: number): number | null {
  return instant === null ? null : Math.max(0, now - Number(instant))
}

/** The pids of processes that hold something that would be lost with their session. */
export type Holders = {
  advisoryLocks: ReadonlySet<number>
  replicationSlots: ReadonlySet<number>
}

/** Marks the holders in a snapshot. */
export function withHolders(snapshot: Snapshot, holders: Holders): Snapshot {
  const sessions = snapshot.sessions.map((session) => ({
    ...session,
    advisoryLock: holders.advisoryLocks.has(session.pid),
    replicationSlot: holders.replicationSlots.has(session.pid),
  }))
  return { ...snapshot, sessions }
}
