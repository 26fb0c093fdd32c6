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

/** PutMetricData takes at most 150 distinct values of one metric; the embedded format 100 samples. */
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

/** One metric of one sweep: a distribution has `counts[i]` samples of `values[i]`. */
export type Measurement = {
  name: MetricName
  unit: 'Count' | 'Percent' | 'Seconds' | 'Milliseconds'
  values: number[]
  counts: number[]
}

/** What a sweep was to do, and what the one before it had seen. */
export type Circumstances = {
  policy: Policy
  /** Sessions that the policy condemns, whether they were reaped or not. */
  condemned: number
  /** In mode `observe`: those of them that the sweep before did not. */
  newlyCondemned: number
}

/** The metrics of a sweep that came to its end. */
export function measure(
  snapshot: Snapshot,
  report: Report,
  set: MetricSet,
  { policy, condemned, newlyCondemned }: Circumstances,
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
    // No idle session has no age: 0 would say that one was just used.
    ...(idleAges.length > 0 ? [distribution('IdleAge', 'Seconds', idleAges)] : []),
    one('OldestTransactionAge', 'Seconds', oldestTransaction(snapshot, policy)),
    one('SessionsReaped', 'Count', report.reaped.length),
    ...(report.mode === 'observe' ? [one('SessionsWouldReap', 'Count', newlyCondemned)] : []),
    one(
      'SessionsSpared',
      'Count',
      Object.values(spared).reduce((a, b) => a + b, 0),
    ),
    one('ReapsRefused', 'Count', countRefused(report, condemned)),
    // Over a connection that was kept the sweep gets in, however full the server.
    one('Exhausted', 'Count', report.entry === 'walsender' || slots.available === 0 ? 1 : 0),
    one('SweepSucceeded', 'Count', 1),
    one('SweepDuration', 'Milliseconds', report.durationMs),
  ])
}

/**
 * Of sessions that the policy could touch: a backup that it protects may take its time, and nobody can
 * do anything about what the service itself runs.
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

/** Reaps that the server refused; in mode `observe`, those that it would refuse, in each sweep again. */
function countRefused(report: Report, condemned: number): number {
  if (report.mode === 'reap') return report.refused.length
  return report.cannotSignal ? condemned : 0
}

/** The metrics of a sweep that failed: what is not known is not published. */
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

function select(set: MetricSet, all: Measurement[]): Measurement[] {
  return set === 'full' ? all : all.filter(({ name }) => ESSENTIAL.has(name))
}

function one(name: MetricName, unit: Measurement['unit'], value: number): Measurement {
  return { name, unit, values: [value], counts: [1] }
}

/**
 * Tenths of a second while they are few. Beyond that, buckets of equal width on a logarithmic scale,
 * each told by the mean of its samples: sum and count stay what they were, percentiles stay within
 * a bucket.
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
 * Single samples of a distribution, in order: a metric of the embedded metric format is a number or a
 * list of at most 100. Of more samples, those at equal distances are taken, the smallest and the
 * largest among them: percentiles stay within a hundredth, and only sum and count are lost.
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

/** Which of `total` samples stands at a place among `most` of them. */
function rankOf(place: number, most: number, total: number): number {
  return most === 1 ? 0 : Math.round((place * (total - 1)) / (most - 1))
}

function tally(values: number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}
