// What a PostgreSQL server writes.
export const int16 = (value: number) => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}
export const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}
export const message = (type: string, body = Buffer.alloc(0), length = body.length + 4) =>
  Buffer.concat([Buffer.from(type, 'latin1'), int32(length), body])
export const zero = (text: string) => Buffer.from(`${text}\0`)

export const AUTHENTICATED = message('R', int32(0))
export const READY = message('Z', Buffer.from('I'))
export const GREETING = Buffer.concat([AUTHENTICATED, READY])
/** To the settings after the login. */
export const SET = Buffer.concat([message('C', zero('SET')), READY])

export const OIDS = { text: 25, bool: 16, int4: 23, float8: 701, json: 114, timestamptz: 1184 }
export type Column = [name: string, type: keyof typeof OIDS]

/** The rows of one statement. */
export function rows(columns: Column[], cells: (string | null)[][]): Buffer {
  const fields = columns.map(([name, type]) =>
    Buffer.concat([
      zero(name),
      int32(0),
      int16(0),
      int32(OIDS[type]),
      int16(-1),
      int32(-1),
      int16(0),
    ]),
  )
  const data = cells.map((row) =>
    message(
      'D',
      Buffer.concat([
        int16(row.length),
        ...row.map((cell) =>
          cell === null
            ? int32(-1)
            : Buffer.concat([int32(Buffer.byteLength(cell)), Buffer.from(cell)]),
        ),
      ]),
    ),
  )
  const description = message('T', Buffer.concat([int16(fields.length), ...fields]))
  return Buffer.concat([description, ...data, message('C', zero(`SELECT ${cells.length}`))])
}

export type Cell = [Column, string | null]

export const HEAD: Cell[] = [
  [['serverVersion', 'int4'], '180004'],
  [['at', 'text'], '1767225600.5'],
  [['ownPid', 'int4'], '1'],
  [['ownUser', 'text'], 'reaper'],
  [['encoding', 'text'], 'UTF8'],
  [['seesAll', 'bool'], 't'],
  [['isMember', 'bool'], 't'],
  [['isMonitor', 'bool'], 't'],
  [['maySignal', 'bool'], 't'],
  [['isSignaller', 'bool'], 't'],
  [['inherits', 'bool'], 't'],
  [['max', 'int4'], '100'],
  [['reserved', 'int4'], '3'],
  [['opened', 'float8'], '7'],
]
/** The row of one session: what sessions of a pool have in common, and arrays of one entry. */
export const SESSION: Cell[] = [
  [['user', 'text'], 'shop_app'],
  [['database', 'text'], 'shop'],
  [['application', 'text'], 'php'],
  [['client', 'text'], '10.0.1.7'],
  [['state', 'text'], 'idle'],
  [['superuser', 'bool'], 'f'],
  [['owned', 'bool'], 'f'],
  [['listening', 'bool'], 'f'],
  [['backup', 'bool'], null],
  [['pids', 'text'], '{42}'],
  [['backendStarts', 'text'], '{1767225000.25}'],
  [['stateChanges', 'text'], '{1767225000.5}'],
  [['transactionStarts', 'text'], '{NULL}'],
]
export const result = (cells: Cell[]) =>
  rows(
    cells.map(([column]) => column),
    [cells.map(([, cell]) => cell)],
  )
/** To the two statements of a snapshot. */
export const snapshotOf = (...results: Buffer[]) => Buffer.concat([...results, READY])
export const SNAPSHOT = snapshotOf(result(HEAD), result(SESSION))
export const answerOf = (outcomes: string | null) =>
  Buffer.concat([
    message('C', zero('DO')),
    rows([['slotkeeper.outcomes', 'text']], [[outcomes]]),
    READY,
  ])

export const holders = (locks: string | null, slots: string): Cell[] => [
  [['advisoryLocks', 'json'], locks],
  [['replicationSlots', 'json'], slots],
]
