import { type Pool, poolFields, poolOf } from '../../lambda/core/pool.ts'
import { builtInProtection, guard } from '../../lambda/core/protection.ts'
import type { Session, Snapshot } from '../../lambda/core/session.ts'
import type { BySteps, Closed, PoolHistory, Stretch } from './history.ts'
import { type ByInterval, type Cadence, raise } from './intervals.ts'
import { asDuration, LADDER, roundUp, stepOf } from './ladder.ts'
import type { PoolResult } from './result.ts'
import { tenthUp } from './rounding.ts'

export type PoolHistories = {
  /** @param last the pool that the session had in the snapshot before, if any: usually it still has it */
  of(session: Session, last: PoolHistory | undefined): PoolHistory
  /** Begins a snapshot. */
  begin(snapshot: Snapshot): void
  /** @param isNew whether the session changed since the snapshot before */
  see(stretch: Stretch, isNew: boolean): void
  /** Ends the snapshot. */
  finish(stretches: Stretch[]): void
  close(closed: Closed): void
  all(): PoolHistory[]
}

const sum = (values: BySteps, from = 0) =>
  // `reduce` passes over the places without a number.
  values.reduce((total, value, step) => (step >= from ? total + value : total), 0)

const count = (values: BySteps, step: number) => {
  values[step] = (values[step] ?? 0) + 1
}

/** Whether the session works, or is in a transaction: its client does not wait to use it. */
export function isBusy({ state }: Session): boolean {
  return state !== 'idle' && state !== null
}

function isIdle(session: Session): session is Session & { ageSeconds: number } {
  return session.state === 'idle' && session.ageSeconds !== null
}

/** The counts of the current snapshot, which begin with the first session in it. */
function currentOf(pool: PoolHistory, snapshot: number): PoolHistory['current'] {
  if (pool.current.snapshot !== snapshot) {
    pool.current = { snapshot, sessions: 0, busy: 0, used: 0 }
  }
  return pool.current
}

function countBusy(pool: PoolHistory, counts: PoolHistory['current']): void {
  counts.busy += 1
  pool.totalBusy += 1
  pool.peakBusy = Math.max(pool.peakBusy, counts.busy)
}

export function createPools(): PoolHistories {
  const histories = new Map<string, PoolHistory>()
  let snapshot: Snapshot | undefined
  let number = 0
  let interval: number | undefined
  let peakUsedSlots = -1

  const isExposed = (session: Session) =>
    !guard(session) && builtInProtection(session, snapshot as Snapshot) === undefined

  const countIdle = (stretch: Stretch, ageSeconds: number) => {
    stretch.step = stepOf(ageSeconds, stretch.step)
    if (isExposed(stretch.session)) count(stretch.pool.idle, stretch.step)
  }

  return {
    of(session, last) {
      if (last !== undefined && isSamePool(session, last.pool)) return last
      const key = poolOf(session)
      const history = histories.get(key) ?? newHistory(session)
      histories.set(key, history)
      return history
    },

    begin(next) {
      interval = snapshot && (next.atMs - snapshot.atMs) / 1000
      snapshot = next
      number += 1
    },

    see(stretch, isNew) {
      const { session, pool, isOwn } = stretch
      // A session that is still connecting takes a slot, but serves nobody yet.
      if (isOwn || session.state === 'starting') return
      const counts = currentOf(pool, number)
      counts.sessions += 1
      pool.peakSessions = Math.max(pool.peakSessions, counts.sessions)
      const busy = isBusy(session)
      if (busy) countBusy(pool, counts)
      else if (isIdle(session)) countIdle(stretch, session.ageSeconds)
      if (interval !== undefined && (isNew || busy)) {
        counts.used += 1
        raise(pool.peakUsed, interval, counts.used)
      }
    },

    finish(stretches) {
      if (stretches.length < peakUsedSlots) return
      peakUsedSlots = stretches.length
      for (const history of histories.values()) history.idleAtPeak = []
      for (const { session, pool, step } of stretches) {
        if (isIdle(session) && isExposed(session)) count(pool.idleAtPeak, step)
      }
    },

    close({ stretch: { session, pool, step }, fate, bounds: [least, most] }) {
      if (session.state !== 'idle') return
      count(pool.gaps[fate], step)
      if (fate === 'used') raise(pool.cameBack, most - least, least)
    },

    // Slotkeeper's own session is in no snapshot's counts.
    all: () => [...histories.values()].filter(({ peakSessions }) => peakSessions > 0),
  }
}

function isSamePool(a: Pool, b: Pool): boolean {
  return (
    a.application === b.application &&
    a.client === b.client &&
    a.user === b.user &&
    a.database === b.database
  )
}

function newHistory(session: Session): PoolHistory {
  return {
    pool: poolFields(session),
    current: { snapshot: 0, sessions: 0, busy: 0, used: 0 },
    peakSessions: 0,
    peakBusy: 0,
    totalBusy: 0,
    peakUsed: new Map(),
    idle: [],
    idleAtPeak: [],
    gaps: { used: [], ended: [], undecided: [] },
    cameBack: new Map(),
  }
}

export function concludePool(
  history: PoolHistory,
  { usual, isBroken }: Cadence,
  snapshots: number,
): PoolResult {
  const { gaps, pool, peakBusy, peakSessions, totalBusy } = history
  // Of a gap that ended while snapshots are missing, only the part that was seen is evidence.
  const longest = greatest(history.cameBack, (interval, least) =>
    isBroken(interval) ? least + usual : least + interval,
  )
  const safe = snapshots > 1 ? roundUp(longest ?? usual) : null
  const step = safe === null ? -1 : LADDER.indexOf(safe)
  // Without a safe age, or beyond the last step where nothing was counted apart, nothing is promised.
  const freed = (values: BySteps) => (step < 0 ? 0 : sum(values, step))
  const used = greatest(history.peakUsed, (interval, most) => (isBroken(interval) ? 0 : most))
  return {
    ...pool,
    longestGapThatCameBackSeconds: longest === undefined ? null : tenthUp(longest),
    safeOlderThan: safe === null ? null : asDuration(safe),
    safeOlderThanSeconds: safe,
    peakBusy,
    meanBusy: hundredth(totalBusy / snapshots),
    peakUsed: Math.max(peakBusy, used ?? 0),
    peakSessions,
    gaps: { used: sum(gaps.used), ended: sum(gaps.ended), undecided: sum(gaps.undecided) },
    frees: { mean: hundredth(freed(history.idle) / snapshots), atPeak: freed(history.idleAtPeak) },
  }
}

/** The greatest of what `from` makes of each entry; undefined without an entry. */
function greatest(
  values: ByInterval,
  from: (interval: number, value: number) => number,
): number | undefined {
  let most: number | undefined
  for (const [interval, value] of values) {
    const made = from(interval, value)
    if (most === undefined || made > most) most = made
  }
  return most
}

const hundredth = (value: number) => Math.round(value * 100) / 100
