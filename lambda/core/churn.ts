import type { Reaped } from './report.ts'
import type { Session, Snapshot } from './session.ts'

/** What makes sessions interchangeable: they are opened by one application in one place. */
export type Pool = Pick<Session, 'user' | 'database' | 'application' | 'client'>

/** A pool of which each of the last `sweeps` sweeps reaped what had come back since the one before. */
export type Comeback = { pool: Pool; reaped: number; sweeps: number }

/** What a sweep remembers for the next one of the same target. */
export type Churn = {
  /** When its snapshot was taken, ms since the epoch by the server's clock. */
  atMs: number
  /** Sessions opened since the server's statistics were last reset, as of the snapshot. */
  opened: number
  pools: Comeback[]
}

/** After so many sweeps in a row it is no coincidence any more. */
const SEVERAL_SWEEPS = 3

/** In a pool's text, where an empty name would be another pool. */
const NO_NAME = '\0none'

/**
 * Sessions opened between two sweeps, the sweep's own connections among them; NULL where there was
 * no sweep before, or the server's statistics were reset in between.
 */
export function openedSince(before: Churn | undefined, { opened }: Snapshot): number | null {
  return before === undefined || opened < before.opened ? null : opened - before.opened
}

/** Counts, for each pool that was reaped, for how many sweeps it has come back in full. */
export function follow(before: Churn | undefined, snapshot: Snapshot, reaped: Reaped[]): Churn {
  const earlier = new Map(before?.pools.map((comeback) => [poolOf(comeback.pool), comeback]))
  const isNew = ({ backendStart }: Session) =>
    before !== undefined && Number(backendStart) * 1000 > before.atMs
  const newcomers = countByPool(snapshot.sessions.filter(isNew))
  const pools = [...countByPool(reaped)].map(([key, { pool, count }]) => {
    const last = earlier.get(key)
    const isBack = last !== undefined && (newcomers.get(key)?.count ?? 0) >= last.reaped
    return { pool, reaped: count, sweeps: isBack ? last.sweeps + 1 : 1 }
  })
  return { atMs: snapshot.atMs, opened: snapshot.opened, pools }
}

/** The sessions themselves, a text each: a pid alone may have come to be another one's. */
export function identities(sessions: Session[]): ReadonlySet<string> {
  return new Set(sessions.map(({ pid, backendStart }) => `${pid} ${backendStart}`))
}

/** How many of them an earlier look did not have; all of them where there was none. */
export function countNew(now: ReadonlySet<string>, before: ReadonlySet<string> | undefined) {
  return [...now].filter((identity) => !before?.has(identity)).length
}

/** The pools that reaping does not help against. */
export function stubborn({ pools }: Churn): Comeback[] {
  return pools.filter(({ sweeps }) => sweeps > SEVERAL_SWEEPS)
}

/** One text for each pool: no text of PostgreSQL's contains a NUL. */
export function poolOf({ user, database, application, client }: Pool): string {
  return `${user ?? NO_NAME}\0${database ?? NO_NAME}\0${application}\0${client}`
}

/** What of a session names its pool. */
export function poolFields({ user, database, application, client }: Pool): Pool {
  return { user, database, application, client }
}

function countByPool(members: Pool[]): Map<string, { pool: Pool; count: number }> {
  const counts = new Map<string, { pool: Pool; count: number }>()
  for (const member of members) {
    const pool = poolFields(member)
    const entry = counts.get(poolOf(pool)) ?? { pool, count: 0 }
    counts.set(poolOf(pool), { pool, count: entry.count + 1 })
  }
  return counts
}
