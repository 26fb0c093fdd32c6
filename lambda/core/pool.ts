import type { Session } from './session.ts'

/** What makes sessions interchangeable: they are opened by one application in one place. */
export type Pool = Pick<Session, 'user' | 'database' | 'application' | 'client'>

/** In a pool's text, where an empty name would be another pool. */
const NO_NAME = '\0none'

/** One text for each pool: no text of PostgreSQL's contains a NUL. */
export function poolOf({ user, database, application, client }: Pool): string {
  return `${user ?? NO_NAME}\0${database ?? NO_NAME}\0${application}\0${client}`
}

/** What of a session names its pool. */
export function poolFields({ user, database, application, client }: Pool): Pool {
  return { user, database, application, client }
}

/** How many of the members each pool has, by the pool's text. */
export function countByPool(members: Pool[]): Map<string, { pool: Pool; count: number }> {
  const counts = new Map<string, { pool: Pool; count: number }>()
  for (const member of members) {
    const pool = poolFields(member)
    const entry = counts.get(poolOf(pool)) ?? { pool, count: 0 }
    counts.set(poolOf(pool), { pool, count: entry.count + 1 })
  }
  return counts
}
