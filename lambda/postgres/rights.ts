import { DatabaseError, escapeIdentifier, escapeLiteral } from 'pg'
import * as v from 'valibot'
import { PG_16 } from '../core/session.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

/**
 * What the statements of a sweep call and read. As PostgreSQL comes, everybody may; hardened servers take these
 * rights from PUBLIC, and in each database apart. A view's functions count as the reader's own calls. Operators
 * stand for functions too, which nobody revokes.
 */
export const FUNCTIONS = [
  'array_to_json(anyarray)',
  'cardinality(anyarray)',
  'clock_timestamp()',
  'concat_ws(text, "any")',
  'current_setting(text)',
  'current_setting(text, boolean)',
  'encode(bytea, text)',
  'extract(text, timestamp with time zone)',
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
 * Asks with as few functions as can be, since it is asked where functions are forbidden.
 * @param grantee as the first argument of PostgreSQL's `has_…_privilege`, or none for the role itself
 */
const findMissing = (grantee = '') => `
select 'EXECUTE ON FUNCTION pg_catalog.' || f.name as missing from (values ${values(FUNCTIONS)}) f(name)
  where not has_function_privilege(${grantee}'pg_catalog.' || f.name, 'execute')
union all
select 'SELECT ON pg_catalog.' || r.name from (values ${values(RELATIONS)}) r(name)
  where not has_table_privilege(${grantee}'pg_catalog.' || r.name, 'select')
union all
select 'USAGE ON SCHEMA pg_catalog' where not has_schema_privilege(${grantee}'pg_catalog', 'usage')
union all
select 'USAGE ON LANGUAGE plpgsql' where not has_language_privilege(${grantee}'plpgsql', 'usage')`

/** What a sweep needs and its role may not use, in the database of the connection. */
export const FIND_MISSING = findMissing()
/** What a sweep needs and not everybody may use there. */
export const FIND_REVOKED = findMissing("'public', ")
/** What a sweep needs and another role may not use there. */
export const findMissingOf = (role: string) => findMissing(`${escapeLiteral(role)}, `)

/** Asked apart: without this right PostgreSQL finds no type, and the other question is refused. */
const FIND_MISSING_SCHEMA = `
select 'USAGE ON SCHEMA pg_catalog' as missing where not has_schema_privilege('pg_catalog', 'usage')`

/** The answer: a row for each right, as GRANT takes it, for example `USAGE ON LANGUAGE plpgsql`. */
export const missingSchema = v.pipe(
  v.array(v.object({ missing: v.string() })),
  v.transform((rows) => rows.map(({ missing }) => missing)),
)

/**
 * The error with the grants in it that mend it, where it is a refusal for want of a right (42501).
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
    // Where this look is refused as well, the server's first word is the best there is.
    return error
  }
}

/** The error that names the grants. */
export function lacking(role: string, missing: string[], cause?: SlotkeeperError): SlotkeeperError {
  const grants = missing.map((right) => `GRANT ${right} TO ${escapeIdentifier(role)};`)
  return new SlotkeeperError(
    'rights',
    `role ${role} may not use what a sweep needs, so nothing was ended. As an administrator, in the database that the sweep connects to: ${grants.join(' ')}`,
    { cause },
  )
}

/** What a role has of another one whose rights it may not use. */
export type Membership = {
  role: string
  /** As `server_version_num`. */
  serverVersion: number
  /** Member of the other one, directly or not. */
  isMember: boolean
  /** False where the role has NOINHERIT. */
  inherits: boolean
}

/** The statements after which the role may use the rights of another one. */
export function grantUsable(
  other: string,
  { role, serverVersion, isMember, inherits }: Membership,
): string {
  const to = escapeIdentifier(role)
  const grant = `GRANT ${other} TO ${to}`
  // Without the option a grant that is repeated changes nothing, and a new one inherits as the role does.
  if (serverVersion >= PG_16) {
    return isMember || !inherits ? `${grant} WITH INHERIT TRUE;` : `${grant};`
  }
  const inherit = `ALTER ROLE ${to} INHERIT;`
  if (inherits) return `${grant};`
  return isMember ? inherit : `${grant}; ${inherit}`
}

/** Names the grant that is missing, and never one that the role has already. */
export function blind(
  role: string,
  look: Omit<Membership, 'role'> & { isMonitor: boolean },
): SlotkeeperError {
  const other = look.isMember || !look.isMonitor ? 'pg_monitor' : 'pg_read_all_stats'
  const reason = look.isMember ? `, because it does not inherit the rights of ${other}` : ''
  const remedy = grantUsable(other, { role, ...look })
  return new SlotkeeperError(
    'blind',
    `role ${role} can't see other roles' sessions${reason}. Nothing was decided. As an administrator: ${remedy}`,
  )
}
