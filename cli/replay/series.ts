import { MOST_POINTS, type Point, type Series } from './result.ts'

/** The first width of points that are joined, ms. */
const FIRST_WIDTH_MS = 1_000

/**
 * Collects slots over time. When there are too many points, it joins neighbours until there are at most half as
 * many as allowed, or all lie too far apart. So its size does not depend on the recording's length.
 */
export function createSeries() {
  let points: Point[] = []
  let widthMs = 0

  const join = () => {
    while (points.length > MOST_POINTS) {
      widthMs = widthMs === 0 ? FIRST_WIDTH_MS : widthMs * 2
      points = joined(points, widthMs)
    }
  }

  return {
    add(point: Point): void {
      const last = points.at(-1)
      if (last && widthMs > 0 && isSame(last, point, widthMs))
        points[points.length - 1] = merge(last, point)
      else points.push(point)
      join()
    },

    /** Counts a regret of the policy at `index` in the point of the reap. */
    regret(index: number, atMs: number): void {
      const policy = points[lastBefore(points, atMs)]?.policies[index]
      if (policy) policy.regrets += 1
    },

    result: (): Series => ({ widthMs, points }),
  }
}

function isSame(a: Point, b: Point, widthMs: number): boolean {
  return Math.floor(a.atMs / widthMs) === Math.floor(b.atMs / widthMs)
}

function joined(points: Point[], widthMs: number): Point[] {
  const result: Point[] = []
  for (const point of points) {
    const last = result.at(-1)
    if (last && isSame(last, point, widthMs)) result[result.length - 1] = merge(last, point)
    else result.push(point)
  }
  return result
}

function merge(a: Point, b: Point): Point {
  return {
    atMs: a.atMs,
    usable: Math.min(a.usable, b.usable),
    used: Math.max(a.used, b.used),
    policies: a.policies.map((one, index) => {
      const other = b.policies[index] ?? one
      return {
        used: Math.max(one.used, other.used),
        reaps: one.reaps + other.reaps,
        regrets: one.regrets + other.regrets,
      }
    }),
  }
}

/** The place of the last point that is not after `atMs`. */
function lastBefore(points: Point[], atMs: number): number {
  let low = 0
  let high = points.length
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((points[middle] as Point).atMs <= atMs) low = middle
    else high = middle
  }
  return low
}
