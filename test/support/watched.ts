import { begin, type Picture, type Subject } from '../../cli/watch/picture.ts'
import { judge } from '../../lambda/core/judge.ts'
import type { Policy } from '../../lambda/core/policy.ts'
import { type Mode, makeReport, type Outcome } from '../../lambda/core/report.ts'
import type { Snapshot } from '../../lambda/core/session.ts'
import { reapVerdicts } from '../../lambda/core/verdict.ts'
import type { SweepResult } from '../../lambda/sweep.ts'
import { policy as read } from './session.ts'

export const stale = read({
  rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }],
})

/** What a sweep of this snapshot would have found; each victim has the outcome in mode `reap`. */
export function sweepOf(
  snapshot: Snapshot,
  policy: Policy = stale,
  mode: Mode = 'observe',
  outcome: Outcome = { outcome: 'reaped' },
): SweepResult {
  const verdicts = judge(snapshot, policy)
  const report = makeReport({
    target: 'db:5432',
    mode,
    entry: 'warm',
    at: new Date(snapshot.atMs).toISOString(),
    durationMs: 4,
    snapshot,
    policy,
    verdicts,
    outcomes: mode === 'reap' ? reapVerdicts(verdicts).map(() => outcome) : [],
  })
  const churn = { atMs: snapshot.atMs, opened: 0, pools: [] }
  return { snapshot, verdicts, report, churn, askedForHolders: false }
}

export function watched(different: Partial<Subject> = {}): Picture {
  return begin({
    target: 'db:5432',
    mode: 'observe',
    policy: stale,
    policyName: 'policy.json',
    everyMs: 2_000,
    ...different,
  })
}
