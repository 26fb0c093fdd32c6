import { isExposed } from './judge.ts'
import type { Policy } from './policy.ts'
import type { Report } from './report.ts'
import type { Snapshot } from './session.ts'

export const METRIC_SETS = ['full', 'essential'] as const
export type MetricSet = (typeof METRIC_SETS)[number]

const ESSENTIAL = new Set<MetricName>([
  'SlotsUsedPercent',
  'SessionsReaped',
  'Exhausted',
  'SweepSucceeded',
])

/**
 * PutMetricData takes at most 150 distinct values of one metric, the embedded metric format at most 100
 * samples.
 */
export const MOST_VALUES = 100

/** The metrics that the function publishes. */
export type MetricName =
  | 'SlotsMax'
  | 'SlotsReserved'
  | 'SlotsUsed'
  | 'SlotsAvailable'
  | 'SlotsUsedPercent'
  | 'SessionsActive'
  | 'SessionsIdle'
  | 'SessionsIdleInTransaction'
  | 'SessionsOpened'
  | 'IdleAge'
  | 'OldestTransactionAge'
  | 'SessionsReaped'
  | 'SessionsWouldReap'
  | 'SessionsSpared'
  | 'ReapsRefused'
  | 'Exhausted'
  | 'SweepSucceeded'
  | 'SweepDuration'
  | 'Paused'

/** One metric of one sweep. A distribution has `counts[i]` samples of `values[i]`. */
export type Measurement = {
  name: MetricName
  unit: 'Count' | 'Percent' | 'Seconds' | 'Milliseconds'
  values: number[]
  counts: number[]
  /** The instance of a cluster that it is of; without it, the target itself. */
  instance?: string
}

/** What the metrics of a sweep need besides its snapshot and its report. */
export type Circumstances = {
  policy: Policy
  /** In mode `observe`: the number of sessions to reap that the previous sweep did not have. */
  newlyCondemned: number
  /** In mode `observe`: the number of sessions whose reap the server would refuse. Otherwise 0. */
  wouldRefuse: number
}

/** The metrics of a sweep that succeeded. */
export function measure(
  snapshot: Snapshot,
  report: Report,
  set: MetricSet,
  { policy, newlyCondemned, wouldRefuse }: Circumstances,
): Measurement[] {
  const { slots, sessions, spared } = report
  const idleAges = snapshot.sessions
    .filter((session) => session.state === 'idle')
    .map((session) => session.ageSeconds ?? 0)
  return select(set, [
    one('SlotsMax', 'Count', slots.max),
    one('SlotsReserved', 'Count', slots.reserved),
    one('SlotsUsed', 'Count', slots.used),
    one('SlotsAvailable', 'Count', slots.available),
    one('SlotsUsedPercent', 'Percent', slots.usedPercent),
    one('SessionsActive', 'Count', sessions.active),
    one('SessionsIdle', 'Count', sessions.idle),
    one(
      'SessionsIdleInTransaction',
      'Count',
      sessions.idleInTransaction + sessions.idleInTransactionAborted,
    ),
    ...(sessions.opened === null ? [] : [one('SessionsOpened', 'Count', sessions.opened)]),
    // Without idle sessions there is no age to publish: 0 would mean that a session was just used.
    ...(idleAges.length > 0 ? [distribution('IdleAge', 'Seconds', idleAges)] : []),
    one('OldestTransactionAge', 'Seconds', oldestTransaction(snapshot, policy)),
    one('SessionsReaped', 'Count', report.reaped.length),
    ...(report.mode === 'observe' ? [one('SessionsWouldReap', 'Count', newlyCondemned)] : []),
    one(
      'SessionsSpared',
      'Count',
      Object.values(spared).reduce((a, b) => a + b, 0),
    ),
    // The sessions that the server would refuse to end stay, so each sweep counts them again.
    one('ReapsRefused', 'Count', report.refused.length + wouldRefuse),
    // A sweep over a warm connection gets in however full the server is, so the free slots count too.
    one('Exhausted', 'Count', report.entry === 'walsender' || slots.available === 0 ? 1 : 0),
    one('SweepSucceeded', 'Count', 1),
    one('SweepDuration', 'Milliseconds', report.durationMs),
  ])
}

/**
 * The age in seconds of the oldest transaction among the sessions that the policy could touch; 0 if there is
 * none. A protected backup may take long, and an operator can't act on sessions of the service itself.
 */
function oldestTransaction(snapshot: Snapshot, policy: Policy): number {
  const concerns = isExposed(snapshot, policy)
  return (
    snapshot.sessions
      .filter((session) => session.transactionSeconds !== null)
      .sort((a, b) => (b.transactionSeconds ?? 0) - (a.transactionSeconds ?? 0))
      .find(concerns)?.transactionSeconds ?? 0
  )
}

/** The metrics of a sweep that failed. What is not known is not published. */
export function measureFailure(
  exhausted: boolean,
  durationMs: number,
  set: MetricSet,
): Measurement[] {
  return select(set, [
    one('Exhausted', 'Count', exhausted ? 1 : 0),
    one('SweepSucceeded', 'Count', 0),
    one('SweepDuration', 'Milliseconds', durationMs),
  ])
}

/** Whether the sweep stayed away from a target that may pause. */
export function measurePause(isAway: boolean): Measurement {
  return one('Paused', 'Count', isAway ? 1 : 0)
}

/** The metrics, besides `Paused`, of a sweep that made no connection because the target may pause. */
export function measureAway(durationMs: number, set: MetricSet): Measurement[] {
  return select(set, [
    one('SweepSucceeded', 'Count', 1),
    one('SweepDuration', 'Milliseconds', durationMs),
  ])
}

function select(set: MetricSet, all: Measurement[]): Measurement[] {
  return set === 'full' ? all : all.filter(({ name }) => ESSENTIAL.has(name))
}

function one(name: MetricName, unit: Measurement['unit'], value: number): Measurement {
  return { name, unit, values: [value], counts: [1] }
}

/**
 * Rounds the samples to tenths. If that gives more than `MOST_VALUES` distinct values, uses buckets of equal
 * width on a logarithmic scale instead, each with the mean of its samples. Sum and count then stay exact, and
 * percentiles stay within a bucket.
 */
export function distribution(
  name: MetricName,
  unit: Measurement['unit'],
  samples: number[],
): Measurement {
  const exact = tally(samples.map((sample) => Math.round(sample * 10)))
  if (exact.size <= MOST_VALUES) {
    const entries = [...exact].sort(([a], [b]) => a - b)
    return { name, unit, values: entries.map(([v]) => v / 10), counts: entries.map(([, n]) => n) }
  }
  const scale = Math.log1p(samples.reduce((a, b) => Math.max(a, b), 0))
  const buckets = new Map<number, { sum: number; count: number }>()
  for (const sample of samples) {
    const key = Math.min(MOST_VALUES - 1, Math.floor((Math.log1p(sample) / scale) * MOST_VALUES))
    const bucket = buckets.get(key) ?? { sum: 0, count: 0 }
    buckets.set(key, { sum: bucket.sum + sample, count: bucket.count + 1 })
  }
  const ordered = [...buckets].sort(([a], [b]) => a - b).map(([, bucket]) => bucket)
  return {
    name,
    unit,
    values: ordered.map(({ sum, count }) => sum / count),
    counts: ordered.map(({ count }) => count),
  }
}

/**
 * The single samples of a distribution, in order. In the embedded metric format a metric is a number or a
 * list of at most 100. If there are more samples, takes samples at equal distances, including the smallest
 * and the largest. Percentiles then stay within a hundredth; only sum and count are lost.
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function samplesOf({ values, counts }: Measurement): number[] {
  const total = counts.reduce((a, b) => a + b, 0)
  const most = Math.min(total, MOST_VALUES)
  const samples: number[] = []
  let passed = 0
  for (const [index, value] of values.entries()) {
    passed += counts[index] ?? 0
    while (samples.length < most && rankOf(samples.length, most, total) < passed) {
      samples.push(value)
    }
  }
  return samples
}

/** The rank, among all `total` samples, of the sample that is taken for `place`, one of `most` places. */
function rankOf(place: number, most: number, total: number): number {
  return most === 1 ? 0 : Math.round((place * (total - 1)) / (most - 1))
}

function tally(values: number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}
