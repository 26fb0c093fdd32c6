import type { Session } from './session.ts'

/**
 * What the sessions of a pool have in common: one application opened them in one place, so they are
 * interchangeable.
 */
export type Pool = Pick<Session, 'user' | 'database' | 'application' | 'client'>

/** Stands for NULL in a pool's key, because an empty name is another pool. */
const NO_NAME = '\0none'

/**
 * The key of a pool, as one text. Its separator is safe, because no text in PostgreSQL contains a NUL
 * character.
 */
export function poolOf({ user, database, application, client }: Pool): string {
  return `${user ?? NO_NAME}\0${database ?? NO_NAME}\0${application}\0${client}`
}

/** The fields of a session that identify its pool. */
export function poolFields({ user, database, application, client }: Pool): Pool {
  return { user, database, application, client }
}

/** The number of members in each pool, by the pool's key. */
export function countByPool(members: Pool[]): Map<string, { pool: Pool; count: number }> {
  const counts = new Map<string, { pool: Pool; count: number }>()
  for (const member of members) {
    const pool = poolFields(member)
    const entry = counts.get(poolOf(pool)) ?? { pool, count: 0 }
    counts.set(poolOf(pool), { pool, count: entry.count + 1 })
  }
  return counts
}
