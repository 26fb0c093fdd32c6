import type { Action } from '../../lambda/core/policy.ts'
import type { Pool } from '../../lambda/core/pool.ts'
import type { Session } from '../../lambda/core/session.ts'
import type { ByInterval } from './intervals.ts'
import type { Bounds, Fate } from './result.ts'

/** Numbers by their place in `LADDER`. A place without a number is 0, so that a quiet pool stays small. */
export type BySteps = number[]

/** What the snapshots so far show about one pool. */
export type PoolHistory = {
  pool: Pool
  /** The counts of one snapshot, and which one it is. */
  current: { snapshot: number; sessions: number; busy: number; used: number }
  peakSessions: number
  peakBusy: number
  totalBusy: number
  /** By the time since the snapshot before. */
  peakUsed: ByInterval
  /** Idle sessions that a policy could end, by how long they were idle: of all snapshots, and at the peak. */
  idle: BySteps
  idleAtPeak: BySteps
  /** Gaps by the longest time that the session was seen idle. */
  gaps: Record<Fate, BySteps>
  /** The longest time that a session was seen idle before it came back, by the time in which it did. */
  cameBack: ByInterval
}

/** A session from one change of its state to the next, as far as the snapshots show it. */
export type Stretch = {
  /** As it was last seen. */
  session: Session
  /** When it was last seen, ms since the epoch. */
  seenAtMs: number
  /** It is the session that took the snapshot: no policy touches it, and it belongs to no pool. */
  isOwn: boolean
  pool: PoolHistory
  /** The place in `LADDER` of its time in this state, when it was last seen. */
  step: number
  /** Slotkeeper ended the session while this was recorded. */
  reapedByRecorder: boolean
  /** What each policy did with it, in their order. */
  reaps: (Reap | undefined)[]
  /** What a policy that left it alone said of it, of two policies of which the other one reaped it. */
  declined: (Declined | undefined)[]
}

export type Reap = { rule: string; action: Action; atMs: number; why: string }
/** `spares`: a rule of the policy met the session, and something spared it. */
export type Declined = { atMs: number; why: string; spares: boolean }

/** A stretch that is over. */
export type Closed = {
  stretch: Stretch
  fate: Fate
  /** How long the session had been in its state when that ended, s. */
  bounds: Bounds
}
