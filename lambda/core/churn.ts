import { countByPool, type Pool, poolOf } from './pool.ts'
import { identityOf, type Session, type Snapshot } from './session.ts'

/**
 * A pool that each of the last `sweeps` sweeps reaped. Between one sweep and the next it opened at least as
 * many sessions as the earlier sweep had reaped.
 */
export type Comeback = { pool: Pool; reaped: number; sweeps: number }

/** What one sweep saw of the pools that it reaped. The next sweep compares it with what it sees. */
export type Churn = {
  /** When the snapshot was taken, by the server's clock, ms since the epoch. */
  atMs: number
  /** Sessions opened between the last reset of the server's statistics and the snapshot. */
  opened: number
  pools: Comeback[]
}

/** After this many sweeps in a row it is no longer a coincidence. */
const STUBBORN_FROM_SWEEPS = 4

/**
 * The number of sessions opened between two sweeps, including the sweep's own connections. NULL if there was
 * no earlier sweep, or if the server's statistics were reset in between.
 */
export function openedSince(before: Churn | undefined, { opened }: Snapshot): number | null {
  return before === undefined || opened < before.opened ? null : opened - before.opened
}

/** Counts, for each pool that was reaped, in how many sweeps in a row it came back in full. */
export function follow(before: Churn | undefined, snapshot: Snapshot, reaped: Pool[]): Churn {
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

/** The identities of sessions, as `identityOf` writes them. */
export function identities(sessions: Session[]): ReadonlySet<string> {
  return new Set(sessions.map(identityOf))
}

/** The number of identities in `now` that are not in `before`; all of them if there is no `before`. */
export function countNew(now: ReadonlySet<string>, before: ReadonlySet<string> | undefined) {
  return [...now].filter((identity) => !before?.has(identity)).length
}

/** The pools for which reaping does not help: they come back in full each time. */
export function stubborn({ pools }: Churn): Comeback[] {
  return pools.filter(({ sweeps }) => sweeps >= STUBBORN_FROM_SWEEPS)
}
