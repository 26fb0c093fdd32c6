import { inBaseUnit } from './facts.ts'
import type { Facts } from './observe.ts'

/** A timeout where it applies to a role in a database. */
export type Effective = {
  /** 0 means none. NULL if the doctor's role may not see it. */
  ms: number | null
  source: 'role in database' | 'role' | 'database' | 'all roles' | 'server'
}

/**
 * The value of a timeout for new sessions of a role in a database, and what sets it. PostgreSQL applies the most
 * specific value (process_settings in postinit.c).
 */
export function effectiveTimeout(
  { settings, roles }: Facts,
  name: string,
  user: string | null,
  database: string | null,
): Effective {
  const levels = [
    ['role in database', database, user],
    ['role', null, user],
    ['database', database, null],
    ['all roles', null, null],
  ] as const
  for (const [source, ofDatabase, ofRole] of levels) {
    const found = roles?.overrides.find(
      (override) =>
        override.name === name && override.database === ofDatabase && override.role === ofRole,
    )
    if (found) return { ms: inBaseUnit(found.value, 'ms'), source }
  }
  const ms = roles === null ? null : (settings?.values[name] ?? null)
  return { ms, source: 'server' }
}
