/** What `\ooo` and `\\` stand for in PostgreSQL's escape format of bytes. */
const ESCAPED = /\\(\\|[0-7]{3})/

/** PostgreSQL's `LATIN1` to `LATIN10` by the part of ISO 8859 that each is (its manual, Character Set Support). */
const LATIN_PARTS: Record<string, number> = { 5: 9, 6: 10, 7: 13, 8: 14, 9: 15, 10: 16 }

const OTHER_ENCODINGS: Record<string, string> = {
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  WIN866: 'ibm866',
  EUC_JP: 'euc-jp',
  EUC_JIS_2004: 'euc-jp',
  EUC_KR: 'euc-kr',
  EUC_CN: 'gb2312',
}

/**
 * The SQL for a name's bytes, escaped to ASCII. `namesend` gives them as they are stored, because the
 * connection's `client_encoding` is SQL_ASCII.
 */
export function nameBytes(column: string): string {
  return `encode(namesend(${column}), 'escape')`
}

/**
 * Reads what `nameBytes` selected. Roles and databases belong to all databases of a server, and a name keeps the
 * bytes that it was made with, whatever encoding the database has that it is read in. So what is valid
 * UTF-8 is UTF-8, since a name may have come from anywhere; the rest is in the encoding of this database.
 * @param serverEncoding as PostgreSQL names it, for example `LATIN1`
 */
export function readName(escaped: string, serverEncoding: string): string {
  if (!escaped.includes('\\')) return escaped
  const bytes = Uint8Array.from(bytesOf(escaped))
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return new TextDecoder(labelOf(serverEncoding)).decode(bytes)
  }
}

function* bytesOf(escaped: string): Generator<number> {
  for (const part of escaped.split(/(\\\\|\\[0-7]{3})/)) {
    const code = ESCAPED.exec(part)?.[1]
    if (code === undefined) yield* Buffer.from(part)
    else yield code === '\\' ? 92 : Number.parseInt(code, 8)
  }
}

/** The name that the WHATWG's Encoding standard has for it; bytes of one it lacks are read as windows-1252. */
function labelOf(serverEncoding: string): string {
  const [, family = '', number = ''] = /^(LATIN|ISO_8859_|WIN)(\d+)$/.exec(serverEncoding) ?? []
  const known = OTHER_ENCODINGS[serverEncoding]
  if (known !== undefined) return known
  if (family === 'WIN') return `windows-${number}`
  if (family !== '') return `iso-8859-${LATIN_PARTS[number] ?? number}`
  return 'windows-1252'
}
