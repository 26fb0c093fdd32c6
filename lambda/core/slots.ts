import type { Snapshot } from './session.ts'

export type Slots = {
  /** `max_connections`. */
  max: number
  /** Slots that ordinary roles can't take. */
  reserved: number
  /** Client backends, the sweep's own included. */
  used: number
  /** Left for ordinary roles, never below 0. */
  available: number
  /** Used, of `max - reserved`, to one decimal: above 100 where the reserve is in use as well. */
  usedPercent: number
}

/**
 * Counts slots. On servers before 18 a connection that is still authenticating holds a slot and is
 * not in the snapshot, so under a storm `available` is the most there can be.
 */
export function countSlots({ slots: { max, reserved }, sessions }: Snapshot): Slots {
  const used = sessions.length
  const usable = max - reserved
  return {
    max,
    reserved,
    used,
    available: Math.max(0, usable - used),
    usedPercent: usable > 0 ? Math.round((used / usable) * 1000) / 10 : 100,
  }
}
