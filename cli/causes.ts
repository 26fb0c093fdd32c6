import { type Pool, poolFields, poolOf } from '../lambda/core/pool.ts'
import type { Session, Snapshot } from '../lambda/core/session.ts'
import type { Waiting } from '../lambda/postgres/blocking.ts'
import { groupBy } from './group.ts'

/** How many slots one pool holds, and for how long. */
export type Holding = {
  pool: Pool
  sessions: number
  idle: number
  /** The longest idle time, s. NULL if no session is idle. */
  oldestIdleSeconds: number | null
  /** When its oldest session was opened, s since the epoch. */
  since: number
}

/** A session that is idle in a transaction, and the sessions that wait for it. */
export type Sleeper = { session: Session; waiting: { session: Session; seconds: number | null }[] }

/** The pools, the one with the most sessions first. The sweep's own session is left out. */
export function findHoldings({ sessions, ownPid }: Snapshot): Holding[] {
  const others = sessions.filter(({ pid }) => pid !== ownPid)
  return groupBy(others, poolOf)
    .map(([, members]) => {
      const idle = members.filter(({ state }) => state === 'idle')
      return {
        pool: poolFields(members[0]),
        sessions: members.length,
        idle: idle.length,
        oldestIdleSeconds: idle.length > 0 ? greatest(idle.map(ageOf)) : null,
        since: -greatest(members.map(({ backendStart }) => -Number(backendStart))),
      }
    })
    .sort(
      (a, b) => b.sessions - a.sessions || (b.oldestIdleSeconds ?? 0) - (a.oldestIdleSeconds ?? 0),
    )
}

export function sleeps({ state }: Session): boolean {
  return state === 'idle in transaction' || state === 'idle in transaction (aborted)'
}

/**
 * The sessions that are idle in a transaction: the one that most sessions wait for first, then the one
 * that has been idle longest. Waiting is transitive: if A waits for B, and B waits for a sleeper, then A
 * waits for the sleeper too.
 */
export function findSleepers({ sessions }: Snapshot, waiting: Waiting[]): Sleeper[] {
  const byPid = new Map(sessions.map((session) => [session.pid, session]))
  const blockersOf = new Map(waiting.map(({ pid, blockedBy }) => [pid, blockedBy]))
  const roots = new Map(waiting.map(({ pid }) => [pid, reach(pid, blockersOf)]))
  return sessions
    .filter(sleeps)
    .map((session) => ({
      session,
      waiting: waiting.flatMap(({ pid, seconds }) => {
        const waiter = byPid.get(pid)
        return waiter && roots.get(pid)?.has(session.pid) ? [{ session: waiter, seconds }] : []
      }),
    }))
    .sort((a, b) => b.waiting.length - a.waiting.length || ageOf(b.session) - ageOf(a.session))
}

/** Every process that this one waits for, directly or through others. */
export function reach(start: number, blockersOf: Map<number, number[]>): Set<number> {
  const reached = new Set<number>()
  const open = [start]
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    for (const blocker of blockersOf.get(pid) ?? []) {
      if (reached.has(blocker)) continue
      reached.add(blocker)
      open.push(blocker)
    }
  }
  return reached
}

export function ageOf({ ageSeconds }: Pick<Session, 'ageSeconds'>): number {
  return ageSeconds ?? 0
}

/** The maximum. `Math.max(...numbers)` would fail with many thousands of arguments. */
export function greatest(numbers: number[]): number {
  return numbers.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
}
