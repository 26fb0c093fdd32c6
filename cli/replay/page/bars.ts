import type { Fate, Histograms } from '../result.ts'

/** The gaps of one length: at least `from` seconds, and less than `to` (without `to`: or longer). */
export type Bar = { from: number; to: number | undefined } & Record<Fate, number>

/** The steps of time that the pictures show, as places in `edges`. Shorter gaps are in the first bar. */
export type Span = { first: number; end: number }

/** Gaps of less than a second are one bar, unless a limit lies among them. */
const SHORTEST_SECONDS = 1
/** So many bars at least, so that a picture of one gap looks like the others. */
const FEWEST_BARS = 12

/**
 * The steps from the shortest to the longest gap of all pools. The limits lie within, and a step on each side, so
 * that all pictures have the same scale.
 * @param limits idle times that are drawn as lines, s
 */
export function spanOf({ edges, pools }: Histograms, limits: number[]): Span {
  let least = edges.length - 1
  let most = 0
  let floor = SHORTEST_SECONDS
  for (const seconds of limits) {
    const step = stepOf(edges, seconds)
    least = Math.min(least, step - 1)
    most = Math.max(most, step + 1)
    if (seconds > 0) floor = Math.min(floor, seconds)
  }
  for (const { used, ended, undecided } of pools) {
    for (const counts of [used, ended, undecided]) {
      const first = counts.findIndex((gaps) => gaps > 0)
      if (first >= 0) least = Math.min(least, first)
      most = Math.max(most, counts.length - 1)
    }
  }
  const first = Math.max(0, least, stepOf(edges, floor) - 1)
  return { first, end: Math.min(edges.length, Math.max(most + 1, first + FEWEST_BARS)) }
}

export function barsOf(
  histogram: Record<Fate, number[]>,
  edges: readonly number[],
  { first, end }: Span,
): Bar[] {
  return Array.from({ length: end - first }, (_, place) => {
    const step = first + place
    const count = (gaps: number[]) =>
      place === 0 ? gaps.slice(0, step + 1).reduce((sum, more) => sum + more, 0) : (gaps[step] ?? 0)
    return {
      from: place === 0 ? 0 : (edges[step] ?? 0),
      to: edges[step + 1],
      used: count(histogram.used),
      ended: count(histogram.ended),
      undecided: count(histogram.undecided),
    }
  })
}

/** Where a time lies on the scale, in bars from its left end. */
export function placeOf(seconds: number, edges: readonly number[], { first, end }: Span): number {
  const step = stepOf(edges, seconds)
  const from = edges[step] ?? 0
  const to = edges[step + 1]
  const within = to === undefined ? 0 : (seconds - from) / (to - from)
  return Math.min(end - first, Math.max(0, step + within - first))
}

/** The gaps that are at least so long: at least and at most, because a limit may lie within a bar. */
export function countFrom(
  counts: number[],
  edges: readonly number[],
  seconds: number,
): [least: number, most: number] {
  const step = stepOf(edges, seconds)
  const sum = (from: number) => counts.slice(from).reduce((total, gaps) => total + gaps, 0)
  return [edges[step] === seconds ? sum(step) : sum(step + 1), sum(step)]
}

function stepOf(edges: readonly number[], seconds: number): number {
  const next = edges.findIndex((edge) => edge > seconds)
  return next < 0 ? edges.length - 1 : next - 1
}
