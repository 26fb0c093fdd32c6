/** One `\ooo` or `\\` in PostgreSQL's escape format for bytes. */
const ESCAPED = /\\(\\|[0-7]{3})/

/**
 * The part of ISO 8859 for each of PostgreSQL's `LATIN1` to `LATIN10` that has another number (Character Set
 * Support).
 */
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
 * The SQL for the bytes of a name, escaped to ASCII. `namesend` returns the bytes as they are stored, because
 * the connection's `client_encoding` is SQL_ASCII.
 */
export function nameBytes(column: string): string {
  return `encode(namesend(${column}), 'escape')`
}

/**
 * Reads what `nameBytes` selected. All databases of a server share the roles and the names of databases. A
 * name keeps the bytes that it was created with, whatever the encoding of the database that it is read in. So
 * a name that is valid UTF-8 is read as UTF-8, and any other name in the encoding of this database.
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

/** The label of the encoding in the WHATWG Encoding standard, or windows-1252 if the standard lacks it. */
function labelOf(serverEncoding: string): string {
  const [, family = '', number = ''] = /^(LATIN|ISO_8859_|WIN)(\d+)$/.exec(serverEncoding) ?? []
  const known = OTHER_ENCODINGS[serverEncoding]
  if (known !== undefined) return known
  if (family === 'WIN') return `windows-${number}`
  if (family !== '') return `iso-8859-${LATIN_PARTS[number] ?? number}`
  return 'windows-1252'
}
