import { type Churn, follow } from './core/churn.ts'
import { dependsOnHolders, judge } from './core/judge.ts'
import type { Policy } from './core/policy.ts'
import { type Mode, makeReport, type Outcome, type Report } from './core/report.ts'
import { type Holders, type Snapshot, withHolders } from './core/session.ts'
import { type ReapVerdict, reapVerdicts, type Verdict } from './core/verdict.ts'
import { loadLate } from './load-late.ts'
import { HOLDERS_MS, look } from './look.ts'
import type { Link } from './postgres/connect.ts'
import { type Deadline, type Gate, remaining, SWEEP_MS } from './postgres/gate.ts'

/** What one sweep saw, decided and did. */
export type SweepResult = {
  snapshot: Snapshot
  verdicts: Verdict[]
  report: Report
  churn: Churn
  /** Whether a verdict depended on the holders of locks and slots. */
  askedForHolders: boolean
}

/** What a sweep is asked to do, and what earlier sweeps of the target saw. */
export type Order = {
  target: string
  policy: Policy
  mode: Mode
  /** What the previous sweep saw of the pools that it reaped. */
  before?: Churn | undefined
  /** Whether this sweep will probably need the holders of locks and slots: it asks for them with the snapshot. */
  lookAhead?: boolean
  /**
   * Adds to a snapshot what earlier snapshots showed. It is called for each snapshot, even if the sweep fails
   * later.
   */
  recall?: (seen: Snapshot) => Snapshot
  /** Whether the snapshot is for a recording. Then the holders are read even if no verdict depends on them. */
  record?: boolean
}

/**
 * One pass over one target: connect, take a snapshot, decide, reap, report.
 * @throws SlotkeeperError; the connection is then closed, or kept for the next sweep
 */
export async function sweep(
  gate: Gate,
  { target, policy, mode, before, lookAhead, recall = (seen) => seen, record = false }: Order,
  deadline: Deadline,
): Promise<SweepResult> {
  const started = performance.now()
  const { link, snapshot: seen, holders } = await look(gate, deadline, { ahead: lookAhead })
  const seenAt = performance.now()
  const serverNow = () => seen.atMs + performance.now() - seenAt
  try {
    const { snapshot, verdicts, askedForHolders } = await decide(
      recall(seen),
      policy,
      record,
      (check) => (check && holders) || findHolders(link, check, deadline),
    )
    const victims = mode === 'reap' ? reapVerdicts(verdicts) : []
    const outcomes = await reapVictims(link, victims, deadline, serverNow)
    const report = makeReport({
      target,
      mode,
      entry: link.entry,
      at: new Date(snapshot.atMs).toISOString(),
      durationMs: Math.round(performance.now() - started),
      snapshot,
      policy,
      verdicts,
      before,
      outcomes,
    })
    // A session whose query was cancelled is still there, so its pool need not come back.
    const ended = report.reaped.filter(({ action }) => action === 'terminate')
    const churn = follow(before, snapshot, ended)
    return { snapshot, verdicts, report, churn, askedForHolders }
  } finally {
    await holders?.catch(() => undefined)
    await gate.giveBack(link)
  }
}

/**
 * Judges without the holders first, and reads the holders only if they could change a verdict, or for a
 * recording: with another policy they may.
 */
async function decide(
  seen: Snapshot,
  policy: Policy,
  record: boolean,
  find: (check: boolean) => Promise<Holders>,
): Promise<{ snapshot: Snapshot; verdicts: Verdict[]; askedForHolders: boolean }> {
  const verdicts = judge(seen, policy)
  const askedForHolders = verdicts.some((verdict) => dependsOnHolders(verdict, policy))
  if (!askedForHolders && !record) return { snapshot: seen, verdicts, askedForHolders }
  const snapshot = withHolders(seen, await find(askedForHolders))
  return { snapshot, verdicts: judge(snapshot, policy), askedForHolders }
}

/** Also checks the rights that a reap needs, if a verdict to reap may follow. */
async function findHolders(link: Link, check: boolean, deadline: Deadline): Promise<Holders> {
  const { preflight, readHolders } = await loadLate()
  const read = check ? preflight : readHolders
  return read(link, remaining(deadline, HOLDERS_MS))
}

async function reapVictims(
  link: Link,
  victims: ReapVerdict[],
  deadline: Deadline,
  serverNow: () => number,
): Promise<Outcome[]> {
  if (victims.length === 0) return []
  const { LEAST_REAP_MS, reap } = await loadLate()
  const left = remaining(deadline, SWEEP_MS)
  // If the deadline cut the statement off, we would not know which sessions it ended.
  if (left < LEAST_REAP_MS) return victims.map(() => ({ outcome: 'unsignalled' }))
  return reap(link, victims, left, serverNow())
}
