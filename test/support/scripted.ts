import type { Frame } from '../../lambda/core/recording.ts'
import { type Session, type Snapshot, secondsSince } from '../../lambda/core/session.ts'
import { START_MS } from './frames.ts'

/** How long before its snapshot a change happened, in the rewritten time. */
const BEFORE_S = 10

/**
 * Gives the snapshots of a recording, taken in a few moments, the times of a script: a minute from one to the next.
 * What a session did between two snapshots, it did 10 s before the later one.
 */
export function rewriteTimes(frames: Frame[]): Frame[] {
  const taken = frames.map(({ snapshot }) => snapshot.atMs / 1000)
  const scripted = (instant: string): string => {
    const next = taken.findIndex((at) => at >= Number(instant))
    return `${START_MS / 1000 + next * 60 - BEFORE_S}.000000`
  }
  return frames.map((frame, index) => ({
    ...frame,
    snapshot: rewrite(frame.snapshot, START_MS + index * 60_000, scripted),
  }))
}

function rewrite(
  snapshot: Snapshot,
  atMs: number,
  scripted: (instant: string) => string,
): Snapshot {
  const sessions = snapshot.sessions.map((session): Session => {
    const stateChange = session.stateChange && scripted(session.stateChange)
    return {
      ...session,
      backendStart: scripted(session.backendStart),
      stateChange,
      ageSeconds: secondsSince(stateChange, atMs / 1000),
      transactionSeconds: null,
    }
  })
  return { ...snapshot, atMs, sessions }
}
