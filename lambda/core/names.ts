import { PG_16 } from './session.ts'

/** PostgreSQL keeps this many bytes of a name (NAMEDATALEN - 1) and cuts off the rest. */
export const MOST_NAME_BYTES = 63

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** The number of bytes of the shortest name that a glob can match: `*` may match 0 bytes, `?` 1 byte. */
export function leastBytes(glob: string): number {
  return bytesOf(glob.replaceAll('*', '')).length
}

/**
 * A character of an application name as the server writes it. Each byte outside printable ASCII becomes `?`
 * before PostgreSQL 16, and `\xNN` from 16 on (pg_clean_ascii in common/string.c). Names of roles and
 * databases stay as they are.
 * @param serverVersion as `server_version_num`
 */
export function shownInApplication(character: string, serverVersion: number): string {
  if (/^[ -~]$/.test(character)) return character
  return [...bytesOf(character)]
    .map((byte) => (serverVersion < PG_16 ? '?' : `\\x${byte.toString(16).padStart(2, '0')}`))
    .join('')
}
