/** `server_version_num` of the release that this project has to tell from those before it. */
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
  /** NULL while a connection authenticates (18+), and for a role that was dropped. */
  user: string | null
  database: string | null
  application: string
  /** An address, or `local` for the Unix socket. */
  client: string
  /** NULL, `starting`, `disabled` and `fastpath function call` exist beside the rules' states. */
  state: string | null
  /** Seconds since the epoch as text, to the microsecond: identity is compared as text. */
  backendStart: string
  /** As `backendStart`; stamped by the server whenever the state is reported anew. */
  stateChange: string | null
  /** Seconds in the present state by the server's clock; NULL where the server does not track it. */
  ageSeconds: number | null
  /** Seconds since the transaction began; NULL outside one. */
  transactionSeconds: number | null
  /** NULL where the owner could not be found. */
  superuser: boolean | null
  /** The role that looks belongs to the owner, and so may signal it without any further right. */
  owned: boolean
  /** The last query runs LISTEN, or may do so in the part that the server does not keep. */
  listening: boolean
  /** Between the start and the stop of a backup. NULL where the last query says nothing of one. */
  backup: boolean | null
  /** Holds an advisory lock in some database of this server; NULL where that was not looked for. */
  advisoryLock: boolean | null
  /** Has a replication slot in use, as a temporary one always is; NULL where that was not looked for. */
  replicationSlot: boolean | null
}

/** One read of all sessions and of the slot settings. */
export type Snapshot = {
  /** As `server_version_num`, for example 180004. */
  serverVersion: number
  /** The server's clock at the look, ms since the epoch. */
  atMs: number
  /** The sweep's own process; not among `sessions` where it came in as a walsender. */
  ownPid: number
  /** The role that looks, as it logged in. */
  ownUser: string
  /** Whether that role may signal the sessions of roles that it does not belong to. */
  maySignal: boolean
  /** What that role has of `pg_signal_backend`, whose rights it may not be able to use. */
  signaller: { isMember: boolean; inherits: boolean }
  slots: { max: number; reserved: number }
  /** Sessions opened since the statistics of the server's databases were last reset. */
  opened: number
  sessions: Session[]
}

/** One text for each session: a pid alone may belong to another one by now. */
export function identityOf({ pid, backendStart }: Session): string {
  return `${pid} ${backendStart}`
}

/** The processes that hold what would be lost with their session. */
export type Holders = {
  advisoryLocks: ReadonlySet<number>
  replicationSlots: ReadonlySet<number>
}

/** The snapshot with what is known of holders. */
export function withHolders(snapshot: Snapshot, holders: Holders): Snapshot {
  const sessions = snapshot.sessions.map((session) => ({
    ...session,
    advisoryLock: holders.advisoryLocks.has(session.pid),
    replicationSlot: holders.replicationSlots.has(session.pid),
  }))
  return { ...snapshot, sessions }
}
