import type { Case, Fleet } from './case.ts'
import { round } from './words.ts'

/** Fewer is no pool: one page of an application may ask for several connections at once. */
const LEAST_SIZE = 5

/**
 * A size for a pool: twice what was at work at once, for a rolling deployment with the old and the new together, and
 * two for a burst.
 */
export function proposedSize(peakBusy: number): number {
  return Math.max(LEAST_SIZE, 2 * peakBusy + 2)
}

/** How `proposedSize` comes to its size. */
export function whySize(peakBusy: number): string {
  return `twice the ${peakBusy} at work at once, and 2 more, but at least ${LEAST_SIZE}`
}

/** Left free for everyone else, beyond what they hold: a tenth of the slots. */
function spareOf({ usable }: Case): number {
  return Math.max(3, Math.ceil(usable / 10))
}

/** The slots that other roles hold at most. */
export function heldByOthers({ total, byRole }: Case, user: string | null): number {
  return Math.max(0, total.peakSessions - (byRole.get(user)?.peakSessions ?? 0))
}

/** The slots that a role can have while everyone else still gets in, at least 1. */
export function roomFor(now: Case, user: string | null): number {
  return Math.max(1, now.usable - heldByOthers(now, user) - spareOf(now))
}

/** Over less time a single long statement, which counts when it ends, would decide. */
const LEAST_STATISTICS_SECONDS = 3600

/**
 * The mean number of sessions at work in a database since its statistics were reset, by Little's law. NULL if they
 * were never reset, or within the last hour.
 */
export function meanBusy({ last }: Case, database: string | null): number | null {
  const counters = last.counters.find((one) => one.database === database)
  if (counters === undefined || counters.resetAt === null) return null
  const seconds = last.snapshot.atMs / 1000 - counters.resetAt
  return seconds < LEAST_STATISTICS_SECONDS ? null : round(counters.activeSeconds / seconds, 2)
}

/**
 * The most sessions of a fleet that were at work at once. A short watch may miss the hour in which they work; where
 * the fleet has its database for itself, the mean since the reset is a lower bound.
 */
export function needOf(now: Case, { pool, usage }: Fleet): number {
  const isAlone = now.fleets.filter((other) => other.pool.database === pool.database).length === 1
  const mean = isAlone ? (meanBusy(now, pool.database) ?? 0) : 0
  return Math.max(usage.peakBusy, Math.ceil(mean))
}
