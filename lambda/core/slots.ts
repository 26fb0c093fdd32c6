import type { Snapshot } from './session.ts'

export type Slots = {
  /** `max_connections`. */
  max: number
  /** Slots that ordinary roles can't take. */
  reserved: number
  /** Client backends, including the sweep's own. */
  used: number
  /** Slots that are free for ordinary roles, never below 0. */
  available: number
  /**
   * `used` in percent of `max - reserved`, to one decimal. It is above 100 when the reserve is in use too.
   */
  usedPercent: number
}

/**
 * Counts slots. Before PostgreSQL 18, a connection that is still authenticating holds a slot but is not in
 * the snapshot. So when many connections arrive at once, `available` is an upper bound.
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
