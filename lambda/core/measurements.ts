import type { Report } from './report.ts'
import type { Snapshot } from './session.ts'

export const METRIC_SETS = ['full', 'essential'] as const
export type MetricSet = (typeof METRIC_SETS)[number]

const ESSENTIAL = new Set(['SlotsUsedPercent', 'SessionsReaped', 'Exhausted', 'SweepSucceeded'])

/** PutMetricData takes at most 150 distinct values of one metric; the embedded format takes 100. */
const MOST_VALUES = 100

/** One metric of one sweep: a distribution has `counts[i]` samples of `values[i]`. */
export type Measurement = {
  name: string
  unit: 'Count' | 'Percent' | 'Seconds' | 'Milliseconds'
  values: number[]
  counts: number[]
}

/** The metrics of a sweep that came to its end. */
export function measure(snapshot: Snapshot, report: Report, set: MetricSet): Measurement[] {
  const { slots, sessions, spared } = report
  const idleAges = snapshot.sessions
    .filter((session) => session.state === 'idle')
    .map((session) => session.ageSeconds ?? 0)
  const transactions = snapshot.sessions.map((session) => session.transactionSeconds ?? 0)
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
    one(
      'OldestTransactionAge',
      'Seconds',
      transactions.reduce((a, b) => Math.max(a, b), 0),
    ),
    one('SessionsReaped', 'Count', report.reaped.length),
    one(
      'SessionsSpared',
      'Count',
      Object.values(spared).reduce((a, b) => a + b, 0),
    ),
    one('ReapsRefused', 'Count', report.refused.length),
    one('Exhausted', 'Count', report.entry === 'walsender' ? 1 : 0),
    one('SweepSucceeded', 'Count', 1),
    one('SweepDuration', 'Milliseconds', report.durationMs),
  ])
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

function one(name: string, unit: Measurement['unit'], value: number): Measurement {
  return { name, unit, values: [value], counts: [1] }
}

/**
 * Tenths of a second while they are few. Beyond that, buckets of equal width on a logarithmic scale,
 * each told by the mean of its samples: sum and count stay what they were, percentiles stay within
 * a bucket.
 */
export function distribution(
  name: string,
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

function tally(values: number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}
