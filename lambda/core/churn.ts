import { countByPool, type Pool, poolOf } from './pool.ts'
import { identityOf, type Session, type Snapshot } from './session.ts'

/** A pool of which each of the last `sweeps` sweeps reaped what had come back since the one before. */
export type Comeback = { pool: Pool; reaped: number; sweeps: number }

/** What a sweep saw of pools that it reaped, for the next one. */
export type Churn = {
  /** When its snapshot was taken, ms since the epoch by the server's clock. */
  atMs: number
  /** Sessions opened since the server's statistics were last reset, as of the snapshot. */
  opened: number
  pools: Comeback[]
}

/** From so many sweeps in a row on it is no coincidence any more. */
const STUBBORN_FROM_SWEEPS = 4

/**
 * Sessions opened between two sweeps, the sweep's own connections among them; NULL where there was
 * no sweep before, or the server's statistics were reset in between.
 */
export function openedSince(before: Churn | undefined, { opened }: Snapshot): number | null {
  return before === undefined || opened < before.opened ? null : opened - before.opened
}

/** Counts, for each pool that was reaped, for how many sweeps it has come back in full. */
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

/** The identities of sessions. */
export function identities(sessions: Session[]): ReadonlySet<string> {
  return new Set(sessions.map(identityOf))
}

/** How many of them an earlier look did not have; all of them where there was none. */
export function countNew(now: ReadonlySet<string>, before: ReadonlySet<string> | undefined) {
  return [...now].filter((identity) => !before?.has(identity)).length
}

/** The pools that reaping does not help against. */
export function stubborn({ pools }: Churn): Comeback[] {
  return pools.filter(({ sweeps }) => sweeps >= STUBBORN_FROM_SWEEPS)
}
