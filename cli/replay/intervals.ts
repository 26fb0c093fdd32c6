import { thousandth } from './rounding.ts'

/** Times from one snapshot to the next are told apart to this many seconds. */
const PRECISION = 0.1

/** Beyond this multiple of the usual time between two snapshots, at least one is missing. */
const MISSING_FROM = 1.8

/** The greatest value that was seen with each interval between two snapshots, s. */
export type ByInterval = Map<number, number>

export type Period = { fromMs: number; toMs: number }

/** Periods in which snapshots are missing: minutes in all, how many periods, and the longest one. */
export type Missing = { minutes: number; count: number; longest: Period }

/** An interval in the precision in which they are compared, s: never shorter than it was. */
export function rounded(seconds: number): number {
  // Without the tolerance, a rounding error of the division would become a whole step.
  return Math.ceil(seconds / PRECISION - 1e-3) / (1 / PRECISION)
}

/** Keeps the greatest value for each interval. */
export function raise(values: ByInterval, interval: number, value: number): void {
  const key = rounded(interval)
  const known = values.get(key)
  if (known === undefined || value > known) values.set(key, value)
}

/** How far the snapshots of a recording are apart. */
export type Cadence = {
  /** The median, s; 0 for a single snapshot. */
  usual: number
  /** Whether a snapshot is missing in an interval of so many seconds. */
  isBroken(seconds: number): boolean
  /** Undefined if no snapshot is missing. */
  missing: Missing | undefined
}

/** Collects intervals. Its size depends on how many different ones there are. */
export type Intervals = { add(period: Period): void; end(): Cadence }

const length = ({ fromMs, toMs }: Period) => toMs - fromMs

export function createIntervals(): Intervals {
  const counts = new Map<number, Counted>()
  let longest: Period | undefined
  return {
    add(period) {
      const seconds = length(period) / 1000
      const key = rounded(seconds)
      const { count, sum } = counts.get(key) ?? { count: 0, sum: 0 }
      counts.set(key, { count: count + 1, sum: sum + seconds })
      if (longest === undefined || length(period) > length(longest)) longest = period
    },
    end() {
      const usual = median(counts)
      const isBroken = (seconds: number) => seconds > MISSING_FROM * usual
      const broken = [...counts].flatMap(([interval, counted]) =>
        isBroken(interval) ? [counted] : [],
      )
      const count = broken.reduce((total, counted) => total + counted.count, 0)
      const seconds = broken.reduce((total, { sum }) => total + sum, 0) - usual * count
      const missing =
        longest !== undefined && count > 0 ? { minutes: seconds / 60, count, longest } : undefined
      return { usual, isBroken, missing }
    },
  }
}

/** Intervals that are alike: how many there are, and how long they are together, s. */
type Counted = { count: number; sum: number }

/** The mean of the group in which the median is. */
function median(counts: ReadonlyMap<number, Counted>): number {
  const ordered = [...counts].sort(([a], [b]) => a - b).map(([, counted]) => counted)
  const half = ordered.reduce((total, { count }) => total + count, 0) / 2
  let passed = 0
  for (const { count, sum } of ordered) {
    passed += count
    if (passed >= half) return thousandth(sum / count)
  }
  return 0
}
