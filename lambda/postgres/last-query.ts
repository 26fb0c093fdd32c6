// SQL that tells what the last query of a session does. The server evaluates it, so the text of a query never
// leaves the server. Each function returns SQL for a boolean. The regular expressions use no back references
// and no captures, so the server matches them in linear time, whatever text a stranger writes.

/**
 * Blanks and comments. `.*?` may run past the first closing mark to a later one, so it covers nested comments
 * too.
 */
const GAP = '(\\s|/\\*.*?\\*/|--[^\\n\\r]*[\\n\\r])*'

/** The same, but a comment ends at its first closing mark. */
const PLAIN_GAP = '(\\s|/\\*([^*]|\\*+[^*/])*\\*+/|--[^\\n\\r]*[\\n\\r])*'

/** A cheap first test, which rules out most queries. The tests that follow cost ten times as much. */
const MAY_LISTEN = '\\mlisten|\\mdo\\M|^\\s*[/-]'

/**
 * Where a statement begins. A semicolon inside a string constant counts too, which spares one session too
 * many.
 */
const BEGIN = `(^|;)${GAP}`

/**
 * SQL for the number of bytes that the occurrences of `of` take in the query. Compare it only between texts
 * of the same length.
 */
const count = (query: string, of: string) =>
  `(octet_length(${query}) - octet_length(replace(${query}, '${of}', '')))`

/**
 * Whether the server cut the query off. It keeps `track_activity_query_size` - 1 bytes of a query, and no
 * part of a character (backend_status.c). It writes the setting with a unit; before 16, pg_size_bytes does
 * not know the unit `B`. The inner SELECT runs once for all rows.
 */
const isCutOff = (query: string) =>
  `octet_length(${query}) >= (select
    pg_size_bytes(regexp_replace(current_setting('track_activity_query_size'), '(\\d)B', '\\1 bytes')) - 4)`

/** A comment without its closing mark. */
const UNFINISHED = '/\\*([^*]|\\*+[^*/])*\\**|--[^\\n\\r]*'

/** The first letters of `listen` and `do`. The server may cut a query off inside either word. */
const FIRST_LETTERS = 'l(i(s(te?)?)?)?|d'

/**
 * SQL that tells whether the query runs LISTEN, or may run it. LISTEN may be one of the statements. It may
 * also be in a DO block, as Postgrex and Oban write it; an escape such as `\n` may come before it there. If
 * the server cut the text off inside a DO block, or before a statement shows what it is, LISTEN may be in the
 * missing part.
 * @param query the SQL for the query's text, for example a column
 */
export function listens(query: string): string {
  return `(${query} ~* '${MAY_LISTEN}' and (
    ${query} ~* '${BEGIN}(listen\\M|do\\M.*(\\m|\\\\[bfnrt])listen\\M)'
    or ${query} ~ '^${PLAIN_GAP}(${UNFINISHED})$'
  ) or ${isCutOff(query)} and (
    ${query} ~* '${BEGIN}((${UNFINISHED}|[/-]|${FIRST_LETTERS})?$|do\\M)'
    or ${query} ~ '(^|;)(\\s|--[^\\n\\r]*[\\n\\r])*/\\*' and ${count(query, '/*')} > ${count(query, '*/')}
  ))`
}

/**
 * SQL that tells whether a backup runs: true if the query starts a backup, false if it stops one, NULL if it
 * does neither. If it names both, one of them may be in a comment. The result is then true, which spares one
 * session too many.
 * @param query the SQL for the query's text, for example a column
 */
export function backsUp(query: string): string {
  return `case when ${query} ~* 'backup' then case
    when ${query} ~* '\\mpg_(backup_start|start_backup)\\M' then true
    when ${query} ~* '\\mpg_(backup_stop|stop_backup)\\M' then false
  end end`
}
