import { escapeIdentifier } from 'pg'
import * as v from 'valibot'
import { readAnswer } from '../../lambda/postgres/answer.ts'
import type { Link } from '../../lambda/postgres/connect.ts'
import { findMissing, missingSchema } from '../../lambda/postgres/rights.ts'

/** What the doctor calls and reads beyond a sweep. By default PUBLIC has these rights. */
export const FUNCTIONS = [
  'pg_blocking_pids(integer)',
  'pg_has_role(oid, oid, text)',
  'pg_postmaster_start_time()',
  'pg_show_all_settings()',
  'pg_stat_get_db_active_time(oid)',
  'pg_stat_get_db_session_time(oid)',
  'pg_stat_get_db_sessions_abandoned(oid)',
  'pg_stat_get_db_sessions_fatal(oid)',
  'pg_stat_get_db_sessions_killed(oid)',
  'pg_stat_get_db_stat_reset_time(oid)',
] as const

export const RELATIONS = [
  'pg_auth_members',
  'pg_db_role_setting',
  'pg_proc',
  'pg_settings',
] as const

const FIND_MISSING = findMissing('', FUNCTIONS, RELATIONS)

/** The statements that grant what the doctor lacks. Empty if it lacks nothing. */
export async function findMissingGrants(link: Link, timeoutMs: number): Promise<string[]> {
  const answer = readAnswer(
    v.strictTuple([missingSchema]),
    await link.query(FIND_MISSING, timeoutMs),
  )
  return answer[0].map((right) => `GRANT ${right} TO ${escapeIdentifier(link.role)};`)
}
