import type { Pool } from '../../lambda/core/pool.ts'

/** What a replay concludes: the report, as `--json` prints it, and what pictures are drawn from. */
export type Replay = { report: ReplayReport; pictures: Pictures }

/** A number as it was recorded, and as it would have been with a policy. */
export type BothWays<T = number> = { recorded: T; replayed: T }

/**
 * At least, and at most. A recording knows only at its snapshots what a session does, so it knows a time in one
 * state only within these bounds.
 */
export type Bounds = [least: number, most: number]

export type ReplayReport = {
  target: string
  /** Of the first snapshot, as `server_version_num`. */
  server: { version: number }
  /** The times of the first and of the last snapshot, by the server's clock (ISO 8601, UTC). */
  from: string
  to: string
  snapshots: number
  /** The time from one snapshot to the next, s: the median. */
  everySeconds: number
  /** Gaps that were seen to end: from a session's becoming idle to its next use or its end. */
  gaps: number
  /** In the order in which they were given. */
  policies: PolicyResult[]
  /** Only with exactly two policies. */
  difference?: Difference
  /** The pool with the most sessions first. */
  pools: PoolResult[]
  /** What this recording can't know, in sentences for people; hostile names are not in them. */
  caveats: string[]
}

/** What one policy would have done. Its counts are of reaps: a session that came back can be reaped again. */
export type PolicyResult = {
  /** As the caller named it: a file, or the name of a policy. */
  name: string
  wouldReap: number
  /** Of these, the sessions that were used again. */
  regretted: number
  /** Of these, the sessions that were still idle when the recording ended, or when Slotkeeper ended them. */
  undecided: number
  /** The number of reaps, by the name of the rule: the policy's rules in their order, then built-in ones. */
  byRule: Record<string, number>
  /** The reaps of each rule in each pool: the most regretted ones first, then the most reaps. */
  byPool: (Pool & { rule: string } & Counts & { hours: number[] })[]
  /** The hours of the day (UTC, 0 to 23) with reaps, in their order. */
  byHour: ({ hour: number } & Counts)[]
  /** Slots used at the snapshots, in percent of those that ordinary roles can take. */
  peakUsedPercent: BothWays
  meanUsedPercent: BothWays
  /** Minutes of the clock with a snapshot in which ordinary roles had no slot left. */
  fullMinutes: BothWays
  /** The first `MOST_LISTED` regrets, in the order of their reaps; `regretted` counts all of them. */
  regrets: Regret[]
}

/** Reaps, as in `PolicyResult`. `hours` has the number of reaps in each hour of the day (UTC). */
export type Counts = { wouldReap: number; regretted: number; undecided: number }

/** A session that the policy would have ended, and that was used again. */
export type Regret = Pool & {
  pid: number
  rule: string
  /** When the policy would have ended it (ISO 8601, UTC). */
  at: string
  /** How long it had been in the state of the rule when it was used again. */
  idleSeconds: Bounds
}

/** Two policies, compared reap by reap: a session that stays as it is until both have met it counts once. */
export type Difference = {
  both: number
  onlyFirst: number
  onlySecond: number
  /** At most `MOST_LISTED`: first those that one policy alone would have ended. */
  sessions: Different[]
}

export type Different = Pool & {
  pid: number
  /** What each policy says of it, and when (ISO 8601, UTC). */
  first: Opinion
  second: Opinion
  fate: Fate
}

/**
 * `reaps` is false for the policy that left the session alone. `why` is then what spared the session, or what the
 * policy said when the other one reaped it.
 */
export type Opinion = { reaps: boolean; at: string; why: string }

/** What became of a session that stayed in one state for a while. */
export type Fate = 'used' | 'ended' | 'undecided'

export type PoolResult = Pool & {
  /**
   * At most this long was a session idle that was used again. NULL if none was seen to come back: then no gap was
   * longer than the time between two snapshots.
   */
  longestGapThatCameBackSeconds: number | null
  /**
   * The smallest duration, rounded up, with which a rule for idle sessions has no regret here. NULL for a recording
   * of one snapshot: it shows of no session whether it came back.
   */
  safeOlderThan: string | null
  safeOlderThanSeconds: number | null
  /** Sessions that do not wait for their next transaction: at one snapshot, the most and the mean of all snapshots. */
  peakBusy: number
  meanBusy: number
  /**
   * The most sessions that were busy at one snapshot or used since the one before. The pool needs no more slots
   * than this, and no fewer than `peakBusy`.
   */
  peakUsed: number
  peakSessions: number
  /** Its gaps, by how they ended. Those that the end of the recording cut off are among `undecided`. */
  gaps: Record<Fate, number>
  /** Slots that `safeOlderThan` would free: the mean of all snapshots, and in the last one of those with the most slots used. */
  frees: { mean: number; atPeak: number }
}

/** At most so many regrets, and so many sessions in which two policies differ, are listed. */
export const MOST_LISTED = 10_000

/** What pictures are drawn from. Its size depends on the number of pools, not on the recording's length. */
export type Pictures = { series: Series; histograms: Histograms }

/** Slots over time, in at most `MOST_POINTS` points. */
export type Series = {
  /** The least time that a point stands for, ms: 0 if each snapshot has a point of its own. */
  widthMs: number
  /** In the order of time. Where no snapshot was taken there is no point. */
  points: Point[]
}

export const MOST_POINTS = 1_440

/** One or more snapshots that follow each other: the greatest slot counts, and the sums of reaps. */
export type Point = {
  /** The first of its snapshots, ms since the epoch. */
  atMs: number
  /** Slots that ordinary roles can take. */
  usable: number
  /** Slots used, as recorded. */
  used: number
  /** One for each policy, in their order. A regret is counted when the session would have been ended. */
  policies: { used: number; reaps: number; regrets: number }[]
}

/** Gaps by their length, for each pool. */
export type Histograms = {
  /** The lower edge of each bin, s. The last bin has no upper edge. */
  edges: readonly number[]
  /** In the order of `ReplayReport.pools`. */
  pools: Histogram[]
}

/**
 * The number of gaps in each bin, by what became of the session. A gap is in the bin of the longest time that the
 * session was seen idle. So a rule with the age of an edge would have ended exactly the gaps from that bin on.
 */
export type Histogram = Pool &
  Record<Fate, number[]> & {
    /** The rules for idle sessions that select this pool. A rule with `when` does not always apply. */
    limits: { policy: string; rule: string; seconds: number; conditional: boolean }[]
  }
