import type { Session } from '../../lambda/core/session.ts'
import { reach } from '../causes.ts'
import type { Look } from './observe.ts'
import { isInTransaction, MINUTE } from './usage.ts'

/** A session that waits for nobody, and the sessions that wait for it, directly or through others. */
export type Blocker = {
  session: Session
  waiting: Session[]
  longestSeconds: number
  /** The one of them that most of the others wait behind, such as an ALTER TABLE. */
  queueHead: { session: Session; behind: number } | undefined
}

/** A wait that a person notices. Shorter ones are normal where two transactions meet. */
const NOTICEABLE_SECONDS = 5
/** A statement at work may keep others waiting for longer: a migration that runs is not stuck. */
const PATIENCE_SECONDS = MINUTE

/**
 * The sessions that keep others waiting: the one that most wait for first. One that is idle in a transaction counts
 * after 5 s of waiting, one that is at work after a minute.
 */
export function findBlockers({ snapshot, waiting }: Look): Blocker[] {
  const byPid = new Map(snapshot.sessions.map((session) => [session.pid, session]))
  const blockersOf = new Map(waiting.map(({ pid, blockedBy }) => [pid, blockedBy]))
  const behind = new Map<number, { session: Session; seconds: number }[]>()
  for (const { pid, seconds } of waiting) {
    const session = byPid.get(pid)
    if (session === undefined) continue
    for (const blocker of reach(pid, blockersOf)) {
      if (blockersOf.has(blocker)) continue
      behind.set(blocker, [...(behind.get(blocker) ?? []), { session, seconds: seconds ?? 0 }])
    }
  }
  return [...behind]
    .flatMap(([pid, waiters]): Blocker[] => {
      const session = byPid.get(pid)
      const longestSeconds = waiters.reduce((most, { seconds }) => Math.max(most, seconds), 0)
      const patience = session && isInTransaction(session) ? NOTICEABLE_SECONDS : PATIENCE_SECONDS
      if (session === undefined || longestSeconds < patience) return []
      const sessions = waiters.map((waiter) => waiter.session)
      const queueHead = findQueueHead(sessions, blockersOf)
      return [{ session, waiting: sessions, longestSeconds, queueHead }]
    })
    .sort((a, b) => b.waiting.length - a.waiting.length)
}

function findQueueHead(
  waiting: Session[],
  blockersOf: ReadonlyMap<number, number[]>,
): Blocker['queueHead'] {
  const [head] = waiting
    .map((session) => {
      const isBehind = ({ pid }: Session) => blockersOf.get(pid)?.includes(session.pid)
      return { session, behind: waiting.filter(isBehind).length }
    })
    .sort((a, b) => b.behind - a.behind)
  return head && head.behind > 0 ? head : undefined
}
