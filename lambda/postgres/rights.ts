import { DatabaseError, escapeIdentifier, escapeLiteral } from 'pg'
import * as v from 'valibot'
import { PG_16 } from '../core/session.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

/**
 * What the statements of a sweep call and read. By default PUBLIC has these rights. Hardened servers revoke
 * them from PUBLIC, separately in each database. PostgreSQL checks the functions in a view against the
 * reader's rights. Operators call functions too, but administrators do not revoke those.
 */
export const FUNCTIONS = [
  'array_agg(anynonarray)',
  'array_to_json(anyarray)',
  'cardinality(anyarray)',
  'clock_timestamp()',
  'concat_ws(text, "any")',
  'current_setting(text)',
  'current_setting(text, boolean)',
  'date_part(text, timestamp with time zone)',
  'encode(bytea, text)',
  'jsonb_build_object("any")',
  'namesend(name)',
  'octet_length(text)',
  'pg_backend_pid()',
  'pg_cancel_backend(integer)',
  'pg_get_replication_slots()',
  'pg_has_role(name, text)',
  'pg_has_role(oid, text)',
  'pg_lock_status()',
  'pg_size_bytes(text)',
  'pg_stat_clear_snapshot()',
  'pg_stat_get_activity(integer)',
  'pg_stat_get_backend_idset()',
  'pg_stat_get_backend_pid(integer)',
  'pg_stat_get_backend_wait_event(integer)',
  'pg_stat_get_db_sessions(oid)',
  'pg_terminate_backend(integer, bigint)',
  'quote_literal(text)',
  'regexp_replace(text, text, text)',
  'replace(text, text, text)',
  'sum(bigint)',
  'to_timestamp(double precision)',
  'unnest(anyarray)',
] as const

export const RELATIONS = [
  'pg_database',
  'pg_locks',
  'pg_replication_slots',
  'pg_roles',
  'pg_stat_database',
] as const

const values = (texts: readonly string[]) => texts.map((text) => `('${text}')`).join(', ')

/**
 * The SQL that finds the missing rights. It calls as few functions as possible, because it runs where
 * functions are forbidden.
 * @param grantee the first argument of PostgreSQL's `has_…_privilege` and a comma, or empty for the role
 *   itself
 */
export const findMissing = (
  grantee = '',
  functions: readonly string[] = FUNCTIONS,
  relations: readonly string[] = RELATIONS,
) => `
select 'EXECUTE ON FUNCTION pg_catalog.' || f.name as missing from (values ${values(functions)}) f(name)
  where not has_function_privilege(${grantee}'pg_catalog.' || f.name, 'execute')
union all
select 'SELECT ON pg_catalog.' || r.name from (values ${values(relations)}) r(name)
  where not has_table_privilege(${grantee}'pg_catalog.' || r.name, 'select')
union all
select 'USAGE ON SCHEMA pg_catalog' where not has_schema_privilege(${grantee}'pg_catalog', 'usage')
union all
select 'USAGE ON LANGUAGE plpgsql' where not has_language_privilege(${grantee}'plpgsql', 'usage')`

/** Finds the rights that a sweep needs and its role lacks, in the connected database. */
export const FIND_MISSING = findMissing()
/** Finds the rights that a sweep needs and PUBLIC lacks, in the connected database. */
export const FIND_REVOKED = findMissing("'public', ")
/** Finds the rights that a sweep needs and another role lacks, in the connected database. */
export const findMissingOf = (role: string) => findMissing(`${escapeLiteral(role)}, `)

/** A separate statement: without this right PostgreSQL finds no type, and refuses `FIND_MISSING`. */
const FIND_MISSING_SCHEMA = `
select 'USAGE ON SCHEMA pg_catalog' as missing where not has_schema_privilege('pg_catalog', 'usage')`

/** The answer: a row for each right, as GRANT takes it, for example `USAGE ON LANGUAGE plpgsql`. */
export const missingSchema = v.pipe(
  v.array(v.object({ missing: v.string() })),
  v.transform((rows) => rows.map(({ missing }) => missing)),
)

/**
 * If the error is a refusal for a missing right (42501), returns an error that names the grants to give.
 * Otherwise returns the same error.
 */
export async function explainRefusal(
  link: Link,
  error: unknown,
  timeoutMs: number,
): Promise<unknown> {
  if (!(error instanceof SlotkeeperError && error.cause instanceof DatabaseError)) return error
  if (error.cause.code !== '42501') return error
  try {
    const ask = async (question: string) => {
      const answer = await link.query(question, timeoutMs)
      return readAnswer(v.strictTuple([missingSchema]), answer)[0]
    }
    const schema = await ask(FIND_MISSING_SCHEMA)
    const missing = schema.length > 0 ? schema : await ask(FIND_MISSING)
    return missing.length > 0 ? lacking(link.role, missing, error) : error
  } catch {
    // If the server refuses this statement too, its first error is the best one there is.
    return error
  }
}

/** The error that names the grants to give. `missing` lists rights as GRANT takes them. */
export function lacking(role: string, missing: string[], cause?: SlotkeeperError): SlotkeeperError {
  const grants = missing.map((right) => `GRANT ${right} TO ${escapeIdentifier(role)};`)
  return new SlotkeeperError(
    'rights',
    `role ${role} may not use what a sweep needs, so nothing was ended. As an administrator, in the database that the sweep connects to: ${grants.join(' ')}`,
    { cause },
  )
}

/** A role's membership in another role, and what decides whether it can use the rights of that role. */
export type Membership = {
  role: string
  /** As `server_version_num`. */
  serverVersion: number
  /** Whether it is a member of the other role, directly or indirectly. */
  isMember: boolean
  /** False if the role has NOINHERIT. */
  inherits: boolean
}

/** The statements that let the role use the rights of the other role. */
export function grantUsable(
  other: string,
  { role, serverVersion, isMember, inherits }: Membership,
): string {
  const to = escapeIdentifier(role)
  const grant = `GRANT ${other} TO ${to}`
  // Without the option, a repeated grant changes nothing, and a new grant inherits only if the role has
  // INHERIT.
  if (serverVersion >= PG_16) {
    return isMember || !inherits ? `${grant} WITH INHERIT TRUE;` : `${grant};`
  }
  const inherit = `ALTER ROLE ${to} INHERIT;`
  if (inherits) return `${grant};`
  return isMember ? inherit : `${grant}; ${inherit}`
}

/** The error of kind `blind`. It names the missing grant, and never a grant that the role already has. */
export function blind(
  role: string,
  look: Omit<Membership, 'role'> & { isMonitor: boolean },
): SlotkeeperError {
  const other = grantorOfSight(look)
  const reason = look.isMember ? `, because it does not inherit the rights of ${other}` : ''
  const remedy = grantUsable(other, { role, ...look })
  return new SlotkeeperError(
    'blind',
    `role ${role} can't see other roles' sessions${reason}. Nothing was decided. As an administrator: ${remedy}`,
  )
}

/** The role whose rights let another one see the sessions of all roles. */
export function grantorOfSight({
  isMember,
  isMonitor,
}: Pick<Membership, 'isMember'> & { isMonitor: boolean }): 'pg_monitor' | 'pg_read_all_stats' {
  return isMember || !isMonitor ? 'pg_monitor' : 'pg_read_all_stats'
}
