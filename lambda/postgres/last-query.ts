// What the last query of a session tells, decided in the server: the query's text never leaves it. Each is SQL
// for a boolean. The regular expressions use no back references and no captures, so the server matches them
// in linear time, whatever text a stranger writes.

/** Blanks and comments. `.*?` may run on to a later end of a comment, and so spans nested ones too. */
const GAP = '(\\s|/\\*.*?\\*/|--[^\\n\\r]*[\\n\\r])*'

/** The same, ending at the first end of a comment. */
const PLAIN_GAP = '(\\s|/\\*([^*]|\\*+[^*/])*\\*+/|--[^\\n\\r]*[\\n\\r])*'

/** One cheap look tells most queries from all that could run LISTEN; what follows costs ten times as much. */
const WORTH_A_LOOK = '\\mlisten|\\mdo\\M|^\\s*($|/|-)'

/** Where a statement begins. A semicolon inside a text constant counts too: that spares one session too many. */
const BEGIN = `(^|;)${GAP}`

/** An occurrence of `of` in the query, counted by what is left when it is taken out. */
const count = (query: string, of: string) =>
  `(octet_length(${query}) - octet_length(replace(${query}, '${of}', '')))`

/**
 * The server keeps `track_activity_query_size` - 1 bytes of a query, and no part of a character (backend_status.c).
 * It writes the setting with a unit, of which `B` is none to pg_size_bytes before 16; looked up once for all rows.
 */
const isCutOff = (query: string) =>
  `octet_length(${query}) >= (select
    pg_size_bytes(regexp_replace(current_setting('track_activity_query_size'), '(\\d)B', '\\1 bytes')) - 4)`

/** The beginning of a comment. */
const UNFINISHED = '/\\*([^*]|\\*+[^*/])*\\**|--[^\\n\\r]*'

/** Of `listen` and `do`, which the server may cut off like all else. */
const FIRST_LETTERS = 'l(i(s(te?)?)?)?|d'

/**
 * LISTEN is one of the statements, or stands in a DO block, as Postgrex and Oban write it; there an escape such as
 * `\n` may stand before it. Where the server cut the text off inside a DO block, or before a statement shows what it
 * is, LISTEN may be in what is missing.
 */
export function listens(query: string): string {
  return `(${query} ~* '${WORTH_A_LOOK}' and (
    ${query} ~* '${BEGIN}(listen\\M|do\\M.*(\\m|\\\\[bfnrt])listen\\M)'
    or ${query} ~ '^${PLAIN_GAP}(${UNFINISHED})$'
  ) or ${isCutOff(query)} and (
    ${query} ~* '${BEGIN}((${UNFINISHED}|[/-]|${FIRST_LETTERS})?$|do\\M)'
    or ${query} ~ '(^|;)(\\s|--[^\\n\\r]*[\\n\\r])*/\\*' and ${count(query, '/*')} > ${count(query, '*/')}
  ))`
}

/**
 * True at the start of a backup, false at its end, NULL where the query says nothing of one. Where it names both, one
 * may be in a comment: that spares one session too many.
 */
export function backsUp(query: string): string {
  return `case when ${query} ~* 'backup' then case
    when ${query} ~* '\\mpg_(backup_start|start_backup)\\M' then true
    when ${query} ~* '\\mpg_(backup_stop|stop_backup)\\M' then false
  end end`
}
