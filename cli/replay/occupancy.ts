import type { Slots } from '../../lambda/core/slots.ts'

const MINUTE_MS = 60_000

/** How full a server is, over all snapshots. */
export type Occupancy = {
  peakUsedPercent: number
  meanUsedPercent: number
  /** Minutes of the clock with a snapshot in which ordinary roles had no slot left. */
  fullMinutes: number
}

export function createOccupancy() {
  let peak = 0
  let total = 0
  let snapshots = 0
  let fullMinutes = 0
  let lastFull: number | undefined
  return {
    add(atMs: number, { usedPercent, available }: Slots): void {
      snapshots += 1
      total += usedPercent
      if (usedPercent > peak) peak = usedPercent
      const minute = Math.floor(atMs / MINUTE_MS)
      if (available > 0 || minute === lastFull) return
      lastFull = minute
      fullMinutes += 1
    },
    result(): Occupancy {
      const mean = snapshots === 0 ? 0 : Math.round((total / snapshots) * 10) / 10
      return { peakUsedPercent: peak, meanUsedPercent: mean, fullMinutes }
    },
  }
}
