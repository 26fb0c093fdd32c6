import type { Case } from './case.ts'

/** Fewer is no pool: one page of an application may ask for several connections at once. */
const LEAST_SIZE = 5

/**
 * A size for a pool: twice what was at work at once, for a rolling deployment with the old and the new together, and
 * two for a burst.
 */
export function proposedSize(peakBusy: number): number {
  return Math.max(LEAST_SIZE, 2 * peakBusy + 2)
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
