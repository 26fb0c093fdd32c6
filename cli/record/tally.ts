/** What a recording has so far. Times are ms since its start. */
export type Tally = {
  snapshots: number
  /** Of the lines, in bytes. */
  bytes: number
  /** The fewest and the most sessions in a snapshot. */
  sessions: [fewest: number, most: number]
  failed: number
  /** Whether the last look failed. */
  isLost: boolean
  /** When the last snapshot was written. */
  lastMs: number
  /** The longest time between two snapshots with a failed look in between; 0 if no look failed. */
  longestGapMs: number
  /** When the last look was made. */
  atMs: number
}

/** A look that failed has no sessions. */
export type Look = { atMs: number; sessions: number; bytes: number } | { atMs: number }

/** Counts one more look. */
export function count(before: Tally | undefined, look: Look): Tally {
  const { atMs } = look
  const tally = before ?? beginAt(atMs)
  if (!('sessions' in look)) return { ...tally, atMs, failed: tally.failed + 1, isLost: true }
  const { sessions, bytes } = look
  const [fewest, most] = tally.sessions
  return {
    ...tally,
    atMs,
    snapshots: tally.snapshots + 1,
    bytes: tally.bytes + bytes,
    sessions: [Math.min(fewest, sessions), Math.max(most, sessions)],
    isLost: false,
    lastMs: atMs,
    longestGapMs: Math.max(tally.longestGapMs, gapOf(tally, atMs)),
  }
}

/** The gap that a look at this time would end, or, after the last look, the one that nothing ended. */
export function gapOf({ isLost, lastMs }: Tally, atMs: number): number {
  return isLost ? atMs - lastMs : 0
}

function beginAt(atMs: number): Tally {
  return {
    snapshots: 0,
    bytes: 0,
    sessions: [Number.POSITIVE_INFINITY, 0],
    failed: 0,
    isLost: false,
    lastMs: atMs,
    longestGapMs: 0,
    atMs,
  }
}
