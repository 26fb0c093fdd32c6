/**
 * A size for a pool: twice what was at work at once, for a rolling deployment with the old and the new together, and
 * two for a burst.
 */
export function proposedSize(peakBusy: number): number {
  return 2 * peakBusy + 2
}
