import { escapeIdentifier, escapeLiteral } from 'pg'
import { printable } from '../../lambda/core/text.ts'

/** No keyword with an underscore is reserved, except those that begin so. */
const NEEDS_NO_QUOTES = /^(?!current_|session_|system_)(?=.*_)[a-z][a-z0-9_]*$/

/**
 * Quotes the name of a role or a database. A character that drives a terminal is written as an escape, so that the
 * SQL runs as it is shown.
 */
export function identifier(name: string): string {
  if (NEEDS_NO_QUOTES.test(name)) return name
  return isSafe(name) ? escapeIdentifier(name) : `U&"${escaped(name).replaceAll('"', '""')}"`
}

/** Quotes a text, as `identifier` quotes a name. */
export function literal(text: string): string {
  if (isSafe(text)) return escapeLiteral(text).trimStart()
  return `U&'${escaped(text).replaceAll("'", "''")}'`
}

function isSafe(text: string): boolean {
  return printable(text) === text
}

/** Unicode escapes as in "String Constants With Unicode Escapes" of the manual. */
function escaped(text: string): string {
  return [...text]
    .map((character) => {
      if (character === '\\') return '\\\\'
      if (isSafe(character)) return character
      return `\\+${(character.codePointAt(0) ?? 0).toString(16).padStart(6, '0')}`
    })
    .join('')
}
