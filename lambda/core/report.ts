import { type Churn, openedSince } from './churn.ts'
import { cover, type RuleCoverage } from './coverage.ts'
import { isExposed } from './judge.ts'
import type { Action, Policy } from './policy.ts'
import type { Session, Snapshot } from './session.ts'
import { countSlots, type Slots } from './slots.ts'
import { type ReapVerdict, reapVerdicts, type SpareReason, type Verdict } from './verdict.ts'

export type Mode = 'reap' | 'observe'

/** How the sweep got in: over a kept connection, a new one, or a walsender's slot. */
export type Entry = 'warm' | 'client' | 'walsender'

/**
 * What became of one verdict to reap. `unsignalled`: the time of the sweep was used up before its
 * turn. A refusal carries the server's SQLSTATE; 00000 says that the signal was accepted and the
 * session is still there.
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
  /** Seconds in that state when the sweep looked, to a tenth. */
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
    /** Opened since the last sweep; NULL where this function's environment made none before. */
    opened: number | null
  }
  /** Sessions in the policy's scope, the sweep's own aside: with 0 the policy can do nothing. */
  inScope: number
  /** What each rule did: those of the policy in their order, then `slotkeeper:orphan`. */
  rules: (RuleCoverage & { reaped: number })[]
  /** Paths of the policy that met no session, such as `scope.users[0]` or `protect[1]`. */
  unmatched: string[]
  /** The role can't end the sessions of roles that it does not belong to, and the policy is for some of these. */
  cannotSignal: boolean
  /** Nobody in mode `observe`. */
  reaped: Reaped[]
  /** In mode `observe`: who would have been signalled. Nobody in mode `reap`. */
  wouldReap: Reaped[]
  /** Sessions that met a rule and were left alone, by reason. */
  spared: Record<SpareReason | 'changed' | 'gone', number>
  refused: Refused[]
}

export type SweepFacts = {
  target: string
  mode: Mode
  entry: Entry
  at: string
  durationMs: number
  snapshot: Snapshot
  policy: Policy
  verdicts: Verdict[]
  /** What the sweep before remembered, if there was one. */
  before?: Churn | undefined
  /** One for each verdict to reap, in their order; none in mode `observe`. */
  outcomes: Outcome[]
}

/** Puts what a sweep did into the form that the handler returns, `--json` prints and the log holds. */
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
    // Before the lists: CloudWatch Logs finds so many fields of a line, and no more.
    inScope,
    rules: rules.map((rule) => ({
      ...rule,
      reaped: reaped.filter((session) => session.rule === rule.name).length,
    })),
    unmatched,
    cannotSignal: !snapshot.maySignal && meetsStrangers(snapshot, policy),
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

/** Whether the policy may end a session that belongs to a role of others; where it meets none yet, it may. */
function meetsStrangers(snapshot: Snapshot, policy: Policy): boolean {
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
