import { type Pool, poolFields, poolOf } from '../lambda/core/pool.ts'
import type { Session, Snapshot } from '../lambda/core/session.ts'
import type { Waiting } from '../lambda/postgres/blocking.ts'
import { groupBy } from './group.ts'

/** What one pool holds. */
export type Holding = {
  pool: Pool
  sessions: number
  idle: number
  /** The longest idle; NULL where none is idle. */
  oldestIdleSeconds: number | null
  /** When the first of its sessions was opened, s since the epoch. */
  since: number
}

/** A session that idles in a transaction, and who waits for it. */
export type Sleeper = { session: Session; waiting: { session: Session; seconds: number | null }[] }

/** The pools, those with most sessions first; the sweep's own session is none. */
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
 * Those that idle in a transaction: who keeps most others waiting first, then the longest. Who waits
 * for one that itself waits for a sleeper waits for the sleeper.
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

/** All that a process waits for, directly or behind others. */
function reach(start: number, blockersOf: Map<number, number[]>): Set<number> {
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

/** Of thousands of numbers, for which arguments would not do. */
export function greatest(numbers: number[]): number {
  return numbers.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
}
