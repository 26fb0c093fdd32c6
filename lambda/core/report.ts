import { type Churn, openedSince } from './churn.ts'
import { cover, type RuleCoverage } from './coverage.ts'
import { isExposed } from './judge.ts'
import type { Action, Policy } from './policy.ts'
import type { Session, Snapshot } from './session.ts'
import { countSlots, type Slots } from './slots.ts'
import { type ReapVerdict, reapVerdicts, type SpareReason, type Verdict } from './verdict.ts'

export type Mode = 'reap' | 'observe'

/** How the sweep connected: over a kept connection, over a new one, or through a walsender's slot. */
export type Entry = 'warm' | 'client' | 'walsender'

/**
 * What became of one verdict to reap. `unsignalled` means that the sweep ran out of time before it reached
 * the session. A refusal carries the server's SQLSTATE; 00000 means that the server accepted the signal but
 * the session is still there.
 */
export type Outcome =
  | {
      outcome: 'reaped' | 'changed' | 'gone' | 'advisoryLock' | 'replicationSlot' | 'unsignalled'
    }
  | { outcome: 'refused'; sqlstate: string; message: string }

export type Reaped = {
  pid: number
  user: string | null
  database: string | null
  application: string
  client: string
  state: string
  /** Seconds in that state when the snapshot was taken, rounded to a tenth. */
  ageSeconds: number
  rule: string
  action: Action
}

export type Refused = { pid: number; sqlstate: string; message: string }

export type Report = {
  target: string
  mode: Mode
  /** When the snapshot was taken, by the server's clock (ISO 8601, UTC). */
  at: string
  durationMs: number
  entry: Entry
  server: { version: number }
  slots: Slots
  sessions: {
    total: number
    active: number
    idle: number
    idleInTransaction: number
    idleInTransactionAborted: number
    other: number
    /**
     * Opened since the previous sweep; NULL at an environment's first sweep, or if the statistics were reset
     * since.
     */
    opened: number | null
  }
  /** Sessions in the policy's scope, without the sweep's own. If it is 0, the policy can do nothing. */
  inScope: number
  /** What each rule did: the policy's rules in their order, then `slotkeeper:orphan`. */
  rules: (RuleCoverage & { reaped: number })[]
  /** Paths of the policy that match no session, such as `scope.users[0]` or `protect[1]`. */
  unmatched: string[]
  /**
   * The role can't end sessions of roles that it is not a member of, and the policy could touch such
   * sessions.
   */
  cannotSignal: boolean
  /** Empty in mode `observe`. */
  reaped: Reaped[]
  /** In mode `observe`: the sessions that mode `reap` would signal. Empty in mode `reap`. */
  wouldReap: Reaped[]
  /** Sessions that matched a rule and were not ended, by reason. */
  spared: Record<SpareReason | 'changed' | 'gone', number>
  refused: Refused[]
}

/** Everything that a report is made of. */
export type SweepFacts = {
  target: string
  mode: Mode
  entry: Entry
  at: string
  durationMs: number
  snapshot: Snapshot
  policy: Policy
  verdicts: Verdict[]
  /** What the previous sweep saw of the pools that it reaped, if there was one. */
  before?: Churn | undefined
  /** One for each verdict to reap, in their order; empty in mode `observe`. */
  outcomes: Outcome[]
}

/** Makes the report that the handler returns, `--json` prints and the log contains. */
export function makeReport(sweep: SweepFacts): Report {
  const { snapshot, policy, verdicts, before, outcomes, target, mode, entry, at, durationMs } =
    sweep
  const condemned = reapVerdicts(verdicts)
  const reaps = condemned.flatMap((verdict, index) => {
    const outcome = outcomes[index]
    return outcome === undefined ? [] : [{ verdict, outcome }]
  })
  const reaped = reaps
    .filter(({ outcome }) => outcome.outcome === 'reaped')
    .map(({ verdict }) => describe(verdict))
  const { inScope, rules, unmatched } = cover(snapshot, policy, verdicts)
  return {
    target,
    mode,
    at,
    durationMs,
    entry,
    server: { version: snapshot.serverVersion },
    slots: countSlots(snapshot),
    sessions: { ...countStates(snapshot.sessions), opened: openedSince(before, snapshot) },
    // Before the lists, because Logs Insights discovers at most 200 fields of a line.
    inScope,
    rules: rules.map((rule) => ({
      ...rule,
      reaped: reaped.filter((session) => session.rule === rule.name).length,
    })),
    unmatched,
    cannotSignal: !snapshot.maySignal && couldNeedSignalRight(snapshot, policy),
    reaped,
    wouldReap: mode === 'observe' ? condemned.map(describe) : [],
    spared: countSpared(
      verdicts,
      reaps.map(({ outcome }) => outcome),
    ),
    refused: reaps.flatMap(({ verdict, outcome }) =>
      outcome.outcome === 'refused'
        ? [{ pid: verdict.session.pid, sqlstate: outcome.sqlstate, message: outcome.message }]
        : [],
    ),
  }
}

/**
 * Whether the policy could touch a session of a role that the sweep's role is not a member of. If it could
 * touch no session now, the answer is yes, because such a session may come later.
 */
function couldNeedSignalRight(snapshot: Snapshot, policy: Policy): boolean {
  const exposed = snapshot.sessions.filter(isExposed(snapshot, policy))
  return exposed.length === 0 || exposed.some(({ owned }) => !owned)
}

function countSpared(verdicts: Verdict[], outcomes: Outcome[]): Report['spared'] {
  const reasons = verdicts.flatMap((verdict) =>
    verdict.verdict === 'spare' ? [verdict.reason] : [],
  )
  const late = outcomes.map(({ outcome }) => outcome)
  const count = (reason: SpareReason) => reasons.filter((given) => given === reason).length
  const lateCount = (outcome: Outcome['outcome']) =>
    late.filter((given) => given === outcome).length
  return {
    protected: count('protected'),
    listening: count('listening'),
    advisoryLock: count('advisoryLock') + lateCount('advisoryLock'),
    replicationSlot: count('replicationSlot') + lateCount('replicationSlot'),
    backup: count('backup'),
    kept: count('kept'),
    budget: count('budget') + lateCount('unsignalled'),
    changed: lateCount('changed'),
    gone: lateCount('gone'),
  }
}

function describe({ session, rule, action }: ReapVerdict): Reaped {
  const { pid, user, database, application, client, state, ageSeconds } = session
  return {
    pid,
    user,
    database,
    application,
    client,
    state: state ?? '',
    ageSeconds: Math.round((ageSeconds ?? 0) * 10) / 10,
    rule,
    action,
  }
}

function countStates(sessions: Session[]): Omit<Report['sessions'], 'opened'> {
  const count = (state: string) => sessions.filter((session) => session.state === state).length
  const active = count('active')
  const idle = count('idle')
  const idleInTransaction = count('idle in transaction')
  const idleInTransactionAborted = count('idle in transaction (aborted)')
  const total = sessions.length
  const other = total - active - idle - idleInTransaction - idleInTransactionAborted
  return { total, active, idle, idleInTransaction, idleInTransactionAborted, other }
}
