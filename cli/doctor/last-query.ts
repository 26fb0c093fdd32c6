/**
 * What the last query of a session looks like, first match first. The server decides it, so the text of a query
 * never leaves the server. The regular expressions have no back references and no captures, so the server
 * matches them in linear time.
 */
const FORMS = {
  none: '^\\s*$',
  // What poolers in session mode send before they hand the session to the next client.
  'discard all': '^\\s*(abort\\s*;\\s*)?discard\\s+all\\M',
  // PDO before PHP 8.4 ends each prepared statement so (pgsql_statement.c of php-src).
  pdo: '^\\s*deallocate\\s+"?pdo_stmt_',
  // Laravel's database queue looks for the next job (DatabaseQueue::getNextAvailableJob).
  'laravel queue': '^\\s*(select \\* from|update|delete from) "(jobs|failed_jobs)"',
  // ActiveRecord names its prepared statements a1, a2, ….
  rails: '^\\s*(deallocate\\s+"?a\\d+"?\\s*;?\\s*$|select\\s+"\\w+"\\.\\* from "\\w+")',
  prisma: '^\\s*select "public"\\."\\w+"\\."\\w+"',
  django:
    '"(django_session|django_content_type|auth_user|django_migrations)"|^\\s*select "\\w+"\\."\\w+",.* limit 21\\s*$',
  // The ORM labels each column table_column.
  sqlalchemy: '^\\s*select \\w+\\.\\w+ as \\w+_\\w+',
  jdbc: '^\\s*set (session characteristics as transaction|extra_float_digits|application_name)\\M',
  pgx: '^\\s*(-- ping\\M|deallocate\\s+"?(stmtcache|lrupsc)_)',
  set: '^\\s*(set|show)\\M',
  rollback: '^\\s*rollback\\s*;?\\s*$',
} as const

export type Form = keyof typeof FORMS | 'other'

export const FORM_NAMES = [...Object.keys(FORMS), 'other'] as Form[]

/**
 * SQL for the form of the last query.
 * @param query the SQL for the query's text, for example a column
 */
export function formOf(query: string): string {
  const cases = Object.entries(FORMS).map(
    ([form, pattern]) => `when ${query} ~* '${pattern}' then '${form}'`,
  )
  return `case ${cases.join('\n    ')} else 'other' end`
}
