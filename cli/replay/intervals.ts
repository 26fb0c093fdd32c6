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
  const counts = new Map<number, number>()
  let longest: Period | undefined
  return {
    add(period) {
      const key = rounded(length(period) / 1000)
      counts.set(key, (counts.get(key) ?? 0) + 1)
      if (longest === undefined || length(period) > length(longest)) longest = period
    },
    end() {
      const usual = median(counts)
      const isBroken = (seconds: number) => seconds > MISSING_FROM * usual
      const broken = [...counts].filter(([interval]) => isBroken(interval))
      const seconds = broken.reduce((sum, [interval, n]) => sum + (interval - usual) * n, 0)
      const count = broken.reduce((sum, [, n]) => sum + n, 0)
      const missing =
        longest !== undefined && count > 0 ? { minutes: seconds / 60, count, longest } : undefined
      return { usual, isBroken, missing }
    },
  }
}

function median(counts: ReadonlyMap<number, number>): number {
  const ordered = [...counts].sort(([a], [b]) => a - b)
  const half = ordered.reduce((sum, [, count]) => sum + count, 0) / 2
  let passed = 0
  for (const [value, count] of ordered) {
    passed += count
    if (passed >= half) return value
  }
  return 0
}
