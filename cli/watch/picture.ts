import type { Policy } from '../../lambda/core/policy.ts'
import { type Pool, poolFields } from '../../lambda/core/pool.ts'
import type { Mode, Report } from '../../lambda/core/report.ts'
import { identityOf, type Snapshot } from '../../lambda/core/session.ts'
import { reapVerdicts, type Verdict } from '../../lambda/core/verdict.ts'
import type { Kind, SlotkeeperError } from '../../lambda/errors.ts'
import type { SweepResult } from '../../lambda/sweep.ts'
import { type Condition, findConditions, findNext, type Next } from './next.ts'
import { type Birth, followBirths, type PoolRow, poolRows } from './pools.ts'

/** What is watched, and how. */
export type Subject = {
  target: string
  mode: Mode
  policy: Policy
  /** As the caller gave it; `incident` if the caller gave none. */
  policyName: string
  everyMs: number
}

/** What the last look that succeeded showed, and what follows from it. */
export type Sight = {
  report: Report
  snapshot: Snapshot
  verdicts: Verdict[]
  pools: PoolRow[]
  next: Next[]
  conditions: Condition[]
  /** What this look reaped or, in mode `observe`, newly found that it would reap. */
  reaps: Reap[]
  /** When it was taken, on the clock of this machine, ms since the epoch. */
  atMs: number
}

/** A session that was reaped or, in mode `observe`, would have been. */
export type Reap = { atMs: number; pid: number; pool: Pool; rule: string; ageSeconds: number }

/** When the first look of several failed, and why the last one did. */
export type Loss = { sinceMs: number; kind: Kind; message: string }

export type Sample = { atMs: number; used: number; usable: number }

/** Everything that is shown. Each look makes a new one of the last. */
export type Picture = Subject & {
  sight?: Sight
  lost?: Loss
  /** The oldest first. */
  history: Sample[]
  births: Birth[]
  /** The newest first. */
  reaps: Reap[]
  /** In mode `observe`: the sessions that the last look would have reaped. */
  condemned: ReadonlySet<string>
  totals: { looks: number; reaped: number; refused: number }
}

/** How much of the past the line of used slots shows. */
export const HISTORY_MS = 10 * 60_000
const MOST_REAPS = 200

export function begin(subject: Subject): Picture {
  const totals = { looks: 0, reaped: 0, refused: 0 }
  return { ...subject, history: [], births: [], reaps: [], condemned: new Set(), totals }
}

/** @param nowMs on the clock of this machine, ms since the epoch */
export function see(picture: Picture, swept: SweepResult, nowMs: number): Picture {
  const { report, snapshot, verdicts } = swept
  const { lost, ...before } = picture
  const { policy, totals } = picture
  const next = findNext(snapshot, policy)
  const births = followBirths(picture.births, snapshot)
  const { used, max, reserved } = report.slots
  const reaps = newReaps(picture, swept)
  return {
    ...before,
    sight: {
      report,
      snapshot,
      verdicts,
      pools: poolRows(snapshot, verdicts, report, next, births),
      next: withoutReaped(next, report),
      conditions: findConditions(snapshot, policy),
      reaps,
      atMs: nowMs,
    },
    history: [
      ...picture.history.filter(({ atMs }) => atMs > nowMs - HISTORY_MS),
      { atMs: nowMs, used, usable: max - reserved },
    ],
    births,
    reaps: [...reaps, ...picture.reaps].slice(0, MOST_REAPS),
    condemned: condemnedIn(swept),
    totals: {
      looks: totals.looks + 1,
      reaped: totals.reaped + reaps.length,
      refused: totals.refused + report.refused.length,
    },
  }
}

/**
 * Keeps what was seen last, and says since when it is old.
 * @param startedMs when the look that failed began
 */
export function lose(picture: Picture, error: SlotkeeperError, startedMs: number): Picture {
  const { kind, message } = error
  return { ...picture, lost: { sinceMs: picture.lost?.sinceMs ?? startedMs, kind, message } }
}

function condemnedIn({ report, verdicts }: SweepResult): ReadonlySet<string> {
  if (report.mode === 'reap') return new Set()
  return new Set(reapVerdicts(verdicts).map(({ session }) => identityOf(session)))
}

/** In mode `observe`, a session counts once for as long as it stays condemned, as it would end once. */
function newReaps({ condemned }: Picture, { report, snapshot, verdicts }: SweepResult): Reap[] {
  const reaped = new Set(report.reaped.map(({ pid }) => pid))
  return reapVerdicts(verdicts)
    .filter(({ session }) =>
      report.mode === 'reap' ? reaped.has(session.pid) : !condemned.has(identityOf(session)),
    )
    .map(({ session, rule }) => ({
      atMs: snapshot.atMs,
      pid: session.pid,
      pool: poolFields(session),
      rule,
      ageSeconds: session.ageSeconds ?? 0,
    }))
}

/** The snapshot was taken before the reap. */
function withoutReaped(next: Next[], { reaped }: Report): Next[] {
  const gone = new Set(reaped.filter(({ action }) => action === 'terminate').map(({ pid }) => pid))
  return next.filter(({ session }) => !gone.has(session.pid))
}
