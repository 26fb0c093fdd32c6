import { type Churn, follow } from './core/churn.ts'
import { dependsOnHolders, judge } from './core/judge.ts'
import type { Policy } from './core/policy.ts'
import { type Mode, makeReport, type Outcome, type Report } from './core/report.ts'
import { type Snapshot, withHolders } from './core/session.ts'
import type { ReapVerdict, Verdict } from './core/verdict.ts'
import { reapVerdicts } from './core/verdict.ts'
import { SlotkeeperError } from './errors.ts'
import type { Link } from './postgres/connect.ts'
import { type Deadline, type Gate, remaining, SWEEP_MS } from './postgres/gate.ts'
import { takeSnapshot } from './postgres/snapshot.ts'

/** The first look over a kept connection is its check for life too, and has to answer soon. */
const WARM_LOOK_MS = 3_000
const LOOK_MS = 5_000

export type SweepResult = {
  snapshot: Snapshot
  verdicts: Verdict[]
  report: Report
  churn: Churn
}

/** What a sweep is to do, and what is known of the target from the sweeps before. */
export type Order = {
  target: string
  policy: Policy
  mode: Mode
  /** What the sweep before saw of pools that it reaped. */
  before?: Churn | undefined
  /** Adds to a snapshot what earlier looks saw. It is called for each look, whatever becomes of the sweep. */
  recall?: (seen: Snapshot) => Snapshot
}

/**
 * One pass over one target: look, decide, reap, report.
 * @throws SlotkeeperError; nothing of the sweep stays behind on the server then
 */
export async function sweep(
  gate: Gate,
  { target, policy, mode, before, recall = (seen) => seen }: Order,
  deadline: Deadline,
): Promise<SweepResult> {
  const started = performance.now()
  const { link, snapshot: seen } = await look(gate, deadline)
  const seenAt = performance.now()
  const serverNow = () => seen.atMs + performance.now() - seenAt
  try {
    const { snapshot, verdicts } = await decide(link, recall(seen), policy, deadline)
    const victims = mode === 'reap' ? reapVerdicts(verdicts) : []
    const outcomes = await end(link, victims, deadline, serverNow)
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
    const churn = follow(before, snapshot, report.reaped)
    return { snapshot, verdicts, report, churn }
  } finally {
    await gate.giveBack(link)
  }
}

/** Judges without the holders first, and looks for them only where that changes anything. */
async function decide(
  link: Link,
  seen: Snapshot,
  policy: Policy,
  deadline: Deadline,
): Promise<{ snapshot: Snapshot; verdicts: Verdict[] }> {
  const verdicts = judge(seen, policy)
  if (!verdicts.some((verdict) => dependsOnHolders(verdict, policy))) {
    return { snapshot: seen, verdicts }
  }
  // Of no use in the usual minute, and with all of the driver below it, as what else is loaded late here.
  const { preflight } = await import('./postgres/preflight.ts')
  const holders = await preflight(link, remaining(deadline, LOOK_MS))
  const snapshot = withHolders(seen, holders)
  return { snapshot, verdicts: judge(snapshot, policy) }
}

async function end(
  link: Link,
  victims: ReapVerdict[],
  deadline: Deadline,
  serverNow: () => number,
): Promise<Outcome[]> {
  if (victims.length === 0) return []
  const { LEAST_REAP_MS, reap } = await import('./postgres/reap.ts')
  const left = remaining(deadline, SWEEP_MS)
  // A statement that the deadline cuts off would leave it open whom it had ended.
  if (left < LEAST_REAP_MS) return victims.map(() => ({ outcome: 'unsignalled' }))
  return reap(link, victims, left, serverNow())
}

/** A kept connection may have died unseen while the function was frozen: then once more, anew. */
async function look(gate: Gate, deadline: Deadline): Promise<{ link: Link; snapshot: Snapshot }> {
  const warm = gate.takeWarm()
  if (warm) {
    try {
      return { link: warm, snapshot: await lookThrough(warm, remaining(deadline, WARM_LOOK_MS)) }
    } catch (error) {
      if (!(error instanceof SlotkeeperError) || error.kind !== 'unreachable') throw error
    }
  }
  const link = await gate.open(deadline)
  return { link, snapshot: await lookThrough(link, remaining(deadline, LOOK_MS)) }
}

async function lookThrough(link: Link, timeoutMs: number): Promise<Snapshot> {
  try {
    return await takeSnapshot(link, timeoutMs)
  } catch (error) {
    const { explainRefusal } = await import('./postgres/rights.ts')
    const reason = await explainRefusal(link, error, timeoutMs)
    await link.close()
    throw reason
  }
}
