import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { judge } from '../../../lambda/core/judge.ts'
import type { Outcome } from '../../../lambda/core/report.ts'
import type { Snapshot } from '../../../lambda/core/session.ts'
import { reapVerdicts } from '../../../lambda/core/verdict.ts'
import { SlotkeeperError } from '../../../lambda/errors.ts'
import { connect, type Link } from '../../../lambda/postgres/connect.ts'
import { preflight } from '../../../lambda/postgres/preflight.ts'
import { reap } from '../../../lambda/postgres/reap.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import type { Tls } from '../../../lambda/postgres/tls.ts'
import { hostileText } from '../../support/hostile.ts'
import { policy } from '../../support/session.ts'

const TIMEOUT_MS = 200
/** Where the time is not what ends it. */
const AMPLE_MS = 10_000
/** So much, however quick the machine, that what kept all of it would take more than `MOST_GROWTH`. */
const FLOOD_BYTES = 24 * 1024 * 1024
const MOST_GROWTH = 100 * 1024 * 1024

const escaped: unknown[] = []
const catchEscaped = (error: unknown) => escaped.push(error)
process.on('uncaughtException', catchEscaped)
process.on('unhandledRejection', catchEscaped)
afterAll(() => {
  process.off('uncaughtException', catchEscaped)
  process.off('unhandledRejection', catchEscaped)
})
afterEach(() => expect(escaped).toEqual([]))

// What a PostgreSQL server writes.
const int16 = (value: number) => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}
const message = (type: string, body = Buffer.alloc(0), length = body.length + 4) =>
  Buffer.concat([Buffer.from(type, 'latin1'), int32(length), body])
const zero = (text: string) => Buffer.from(`${text}\0`)

const AUTHENTICATED = message('R', int32(0))
const READY = message('Z', Buffer.from('I'))
const GREETING = Buffer.concat([AUTHENTICATED, READY])
/** To the settings after the login. */
const SET = Buffer.concat([message('C', zero('SET')), READY])

const OIDS = { text: 25, bool: 16, int4: 23, float8: 701, json: 114, timestamptz: 1184 }
type Column = [name: string, type: keyof typeof OIDS]

/** The rows of one statement. */
function rows(columns: Column[], cells: (string | null)[][]): Buffer {
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

type Cell = [Column, string | null]

const HEAD: Cell[] = [
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
const SESSION: Cell[] = [
  [['pid', 'int4'], '42'],
  [['user', 'text'], 'shop_app'],
  [['database', 'text'], 'shop'],
  [['application', 'text'], 'php'],
  [['client', 'text'], '10.0.1.7'],
  [['state', 'text'], 'idle'],
  [['backendStart', 'text'], '1767225000.25'],
  [['stateChange', 'text'], '1767225000.5'],
  [['transactionStart', 'text'], null],
  [['superuser', 'bool'], 'f'],
  [['owned', 'bool'], 'f'],
  [['listening', 'bool'], 'f'],
  [['backup', 'bool'], null],
]
const result = (cells: Cell[]) =>
  rows(
    cells.map(([column]) => column),
    [cells.map(([, cell]) => cell)],
  )
const SNAPSHOT = Buffer.concat([result(HEAD), result(SESSION), READY])
const answerOf = (outcomes: string | null) =>
  Buffer.concat([
    message('C', zero('DO')),
    rows([['slotkeeper.outcomes', 'text']], [[outcomes]]),
    READY,
  ])

const holders = (locks: string | null, slots: string): Cell[] => [
  [['advisoryLocks', 'json'], locks],
  [['replicationSlots', 'json'], slots],
]

/** What the server says to each message of the client; a list goes out piece by piece. */
type Answer = Buffer | Buffer[]
type Conduct = {
  answers: Answer[]
  /** After the last answer: ends the connection, says no more, or says this again and again. */
  lastly: 'hang up' | 'wait' | Buffer
}
let conduct: Conduct = { answers: [], lastly: 'hang up' }
let peakBytes = 0

function flood(socket: Socket, bytes: Buffer): void {
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
  let isRoom = true
  while (isRoom && !socket.destroyed) isRoom = socket.write(bytes)
  if (socket.bytesWritten > FLOOD_BYTES) socket.end()
  else if (!socket.destroyed) socket.once('drain', () => flood(socket, bytes))
}

async function say(socket: Socket, answer: Answer): Promise<void> {
  for (const piece of [answer].flat()) {
    socket.write(piece)
    await nextTurn()
  }
}

const sockets = new Set<Socket>()
const server = createServer((socket) => {
  const { answers, lastly } = conduct
  const left = [...answers]
  sockets.add(socket)
  socket.setNoDelay()
  socket.on('close', () => sockets.delete(socket))
  // The client hangs up when it has seen enough.
  socket.on('error', () => socket.destroy())
  socket.on('data', async () => {
    const answer = left.shift()
    if (answer) await say(socket, answer)
    if (left.length > 0 || lastly === 'wait') return
    if (lastly === 'hang up') socket.end()
    else flood(socket, lastly)
  })
}).listen(0, '127.0.0.1')
await once(server, 'listening')
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  server.close()
  await once(server, 'close')
})

const { port } = server.address() as { port: number }
const credentials = { host: '127.0.0.1', port, user: 'reaper', password: 'p', database: 'postgres' }
const everyIdle = policy({ rules: [{ name: 'idle', state: 'idle', olderThan: '0s' }] })

/** Does something with a server of such conduct, which must not hold it up for ever. */
async function meet<T>(
  answers: Answer[],
  act: (link: Link, timeoutMs: number) => Promise<T>,
  {
    lastly = 'hang up',
    tls = false,
    timeoutMs = lastly === 'wait' ? TIMEOUT_MS : AMPLE_MS,
  }: { lastly?: Conduct['lastly']; tls?: Tls; timeoutMs?: number } = {},
): Promise<T | SlotkeeperError> {
  conduct = { answers, lastly }
  try {
    const link = await connect(credentials, tls, 'client', timeoutMs)
    try {
      return await act(link, timeoutMs)
    } finally {
      await link.close()
    }
  } catch (error) {
    if (!(error instanceof SlotkeeperError)) throw error
    return error
  }
}

/** A look, and the end of all idle sessions that it showed. */
async function sweep(link: Link, timeoutMs: number): Promise<Outcome[]> {
  const verdicts = reapVerdicts(judge(await takeSnapshot(link, timeoutMs), everyIdle))
  return verdicts.length === 0 ? [] : reap(link, verdicts, timeoutMs, Date.now())
}

/** What a sweep may come to where the server never told an outcome. */
function isHonest(result: Outcome[] | SlotkeeperError): void {
  if (result instanceof SlotkeeperError) expect(result.message).toMatch(/127\.0\.0\.1|the server/)
  else for (const { outcome } of result) expect(outcome).toBe('refused')
}

const garbage = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
const body = fc.oneof(
  garbage,
  fc.array(fc.constantFrom(0, 1, 2, 255, 128, 67, 77, 83), { maxLength: 30 }).map(Buffer.from),
  hostileText.map(zero),
)
const length = fc.option(fc.constantFrom(0, 1, 3, 4, 5, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1), {
  freq: 4,
})
const anyMessage = fc
  .tuple(fc.constantFrom(...'RSKENZTDCIAvGHWcd123nst'), body, length)
  .map(([type, content, told]) => message(type, content, told ?? undefined))
const noise = fc.oneof(
  garbage,
  fc
    .array(fc.oneof({ arbitrary: anyMessage, weight: 4 }, fc.constantFrom(READY, AUTHENTICATED)), {
      maxLength: 8,
    })
    .map((list) => Buffer.concat(list)),
)

test('this server is understood where it is right, however it is cut in pieces', async () => {
  const pieces = (answer: Buffer, size: number) =>
    Array.from({ length: Math.ceil(answer.length / size) }, (_, index) =>
      answer.subarray(index * size, (index + 1) * size),
    )
  for (const size of [1, 2, 5, 7, 64, 10_000]) {
    const answers = [GREETING, SET, SNAPSHOT, answerOf('[{"outcome": "reaped"}]')]
    const result = await meet(
      answers.map((answer) => pieces(answer, size)),
      sweep,
    )
    expect(result).toEqual([{ outcome: 'reaped' }])
  }
})

describe.each<[string, (said: Buffer) => Buffer[]]>([
  ['in place of a greeting', (said) => [said]],
  ['in the middle of a greeting', (said) => [Buffer.concat([AUTHENTICATED, said])]],
  ['after the greeting', (said) => [Buffer.concat([GREETING, said]), SET, SNAPSHOT]],
  ['in place of a snapshot', (said) => [GREETING, SET, said]],
  ['in the middle of a snapshot', (said) => [GREETING, SET, Buffer.concat([result(HEAD), said])]],
  ['in place of the outcomes', (said) => [GREETING, SET, SNAPSHOT, said]],
])('noise %s', (_, answers) => {
  test('is an error with a name', async () => {
    await fc.assert(
      fc.asyncProperty(noise, async (said) => isHonest(await meet(answers(said), sweep))),
      { numRuns: 70, examples: [[message('E')], [message('N', zero('Snever ended'))]] },
    )
  })

  test('is waited for no longer than the time where nothing follows', async () => {
    for (const said of [Buffer.alloc(0), message('D', Buffer.alloc(9), 100_000)]) {
      isHonest(await meet(answers(said), sweep, { lastly: 'wait' }))
    }
  })

  test.each<[string, Buffer]>([
    ['notices', message('N', Buffer.concat([zero('Sx'), Buffer.alloc(1)]))],
    ['notifications', message('A', Buffer.concat([int32(1), zero('channel'), zero('payload')]))],
    ['settings', message('S', Buffer.concat([zero('TimeZone'), zero('UTC')]))],
    ['rows', message('D', int16(0))],
    ['empty results', Buffer.concat([message('T', int16(0)), message('C', zero('SELECT 0'))])],
    ['wide results', rows(Array(90).fill(['x', 'json']), Array(90).fill(Array(90).fill(null)))],
    ['one message', Buffer.alloc(65_536, 'D\0\xe0\0\0', 'latin1')],
    ['logins', AUTHENTICATED],
    ['ends of answers', READY],
  ])('%s without an end fill no memory', async (_, said) => {
    const before = process.memoryUsage.rss()
    peakBytes = before
    const block = Buffer.concat(Array(Math.ceil(65_536 / said.length)).fill(said))
    isHonest(await meet(answers(said), sweep, { lastly: block }))
    expect(peakBytes - before).toBeLessThan(MOST_GROWTH)
  })
})

test.each<[string, Buffer, string]>([
  ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'an unknown type'],
  ['a message of no length', message('Z', Buffer.from('I'), 0), 'a message of 0 bytes'],
  ['a message of two gigabytes', message('D', int16(1), 2 ** 31), 'a message of 2147483648 bytes'],
  ['an error without its end', message('E', zero('Sx')), 'an error message without its terminator'],
  ['a notice without its end', message('N'), 'an error message without its terminator'],
  ['rows without columns', message('D', int16(1)), 'a row with other columns'],
  ['rows of too many columns', message('T', int16(101)), 'rows of 101 columns'],
  ['rows of less than no columns', message('T', int16(-1)), 'rows of -1 columns'],
  ['columns that break off', message('T', int16(9)), 'out of'],
  [
    'JSON column that is not JSON',
    Buffer.concat([rows([['x', 'json']], [['{']]), READY]),
    'JSON column that is not JSON',
  ],
])('%s is told by its name', async (_, said, named) => {
  expect(await meet([GREETING, SET, said], takeSnapshot)).toMatchObject({
    kind: 'unreachable',
    message: expect.stringContaining(named),
  })
})

test('an answer that does not end is given up for its length, not for the time', async () => {
  const notice = message('N', Buffer.concat([zero(`S${'x'.repeat(60_000)}`), Buffer.alloc(1)]))
  expect(await meet([GREETING, SET], takeSnapshot, { lastly: notice })).toMatchObject({
    kind: 'unreachable',
    message: expect.stringContaining('an endless answer'),
  })
})

test('an answer that breaks off is an error with a name', async () => {
  const cut = fc.nat(SNAPSHOT.length - 1).map((end) => SNAPSHOT.subarray(0, end))
  await fc.assert(
    fc.asyncProperty(cut, async (said) => {
      expect(await meet([GREETING, SET, said], takeSnapshot)).toMatchObject({ kind: 'unreachable' })
    }),
    { numRuns: 50 },
  )
})

describe('rows of another form', () => {
  type Change = { at: number; how: 'drop' | 'rename' | 'retype' | 'say' | 'double' } & {
    name: string
    type: Column[1]
    cell: string | null
  }
  const change: fc.Arbitrary<Change> = fc.record({
    at: fc.nat(),
    how: fc.constantFrom('drop', 'rename', 'retype', 'say', 'double'),
    name: fc.oneof(fc.constantFrom('__proto__', 'pid', 'at', ''), hostileText),
    type: fc.constantFrom(...(Object.keys(OIDS) as Column[1][])),
    cell: fc.oneof(
      fc.constantFrom(null, '', '-1', '1e308', 'NaN', 'Infinity', '1e999', '{}', '99999999999999'),
      hostileText,
    ),
  })
  const alter: Record<Change['how'], (cell: Cell, change: Change) => Cell[]> = {
    drop: () => [],
    rename: ([[, type], said], { name }) => [[[name, type], said]],
    retype: ([[name], said], { type }) => [[[name, type], said]],
    say: ([column], { cell }) => [[column, cell]],
    double: ([column, said], { cell }) => [
      [column, said],
      [column, cell],
    ],
  }
  const altered = (cells: Cell[], changes: Change[]): Cell[] =>
    changes.reduce<Cell[]>((all, change) => {
      const place = change.at % all.length
      return all.flatMap((cell, index) =>
        index === place ? alter[change.how](cell, change) : [cell],
      )
    }, cells)

  /** Everything that is decided upon is what its type says. */
  function isSound({ sessions, slots, opened, atMs, ownPid, serverVersion }: Snapshot): void {
    const numbers = [slots.max, slots.reserved, opened, atMs, ownPid, serverVersion]
    expect(numbers.every((value) => Number.isFinite(value) && value >= 0)).toBe(true)
    expect(new Date(atMs).toISOString()).toMatch(/Z$/)
    for (const session of sessions) {
      const ages = [session.ageSeconds ?? 0, session.transactionSeconds ?? 0]
      expect([...ages, session.pid].every((value) => Number.isFinite(value))).toBe(true)
      expect(Math.max(...ages)).toBeLessThan(1e12)
      for (const flag of [session.listening, session.superuser ?? false]) {
        expect(typeof flag).toBe('boolean')
      }
      for (const text of [session.application, session.client, session.user ?? '']) {
        expect(typeof text).toBe('string')
      }
    }
  }

  test('are an error with a name, or a snapshot without a fault', async () => {
    const changes = fc.array(change, { maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(changes, changes, async (inHead, inSession) => {
        const said = [result(altered(HEAD, inHead)), result(altered(SESSION, inSession)), READY]
        const seen = await meet([GREETING, SET, Buffer.concat(said)], takeSnapshot)
        if (!(seen instanceof SlotkeeperError)) isSound(seen)
      }),
      { numRuns: 150 },
    )
  })

  test.each<[string, Buffer[]]>([
    ['no result', []],
    ['one result', [result(HEAD)]],
    ['no row of the server', [rows([], []), result(SESSION)]],
    ['two rows of the server', [rows([['at', 'text']], [['1'], ['1']]), result(SESSION)]],
    ['three results', [result(HEAD), result(SESSION), result(SESSION)]],
    ['results in the wrong order', [result(SESSION), result(HEAD)]],
  ])('%s', async (_, said) => {
    const seen = await meet([GREETING, SET, Buffer.concat([...said, READY])], takeSnapshot)
    expect(seen).toMatchObject({ kind: 'query', message: expect.stringContaining('answer') })
  })

  test.each(SESSION.map(([[name]]) => name))('no column %s', async (name) => {
    const cells = SESSION.filter(([column]) => column[0] !== name)
    const said = Buffer.concat([result(HEAD), result(cells), READY])
    expect(await meet([GREETING, SET, said], takeSnapshot)).toMatchObject({ kind: 'query' })
  })

  test.each([
    ['stateChange', ''],
    ['stateChange', '-1e308'],
    ['backendStart', 'NaN'],
    ['backendStart', null],
    ['pid', null],
    ['listening', null],
    ['superuser', null],
  ])('%s: %j', async (name, said) => {
    const cells = SESSION.map(([column, cell]): Cell => [column, column[0] === name ? said : cell])
    const seen = await meet(
      [GREETING, SET, Buffer.concat([result(HEAD), result(cells), READY])],
      takeSnapshot,
    )
    // A session whose owner was dropped is one that PostgreSQL shows.
    if (name === 'superuser') expect(seen).toMatchObject({ sessions: [{ superuser: null }] })
    else expect(seen).toMatchObject({ kind: 'query' })
  })

  test.each<[string, Cell[][]]>([
    ['nothing', []],
    ['no list', [holders(null, '[]')]],
    ['a number', [holders('42', '[]')]],
    ['pids that are none', [holders('["42"]', '[]')]],
    ['no slots', [[[['advisoryLocks', 'json'], '[42]']]]],
    ['two answers', [holders('[]', '[]'), holders('[42]', '[]')]],
  ])('of lock holders: %s', async (_, said) => {
    const before = [message('C', zero('DO')), rows([['missing', 'text']], [])]
    const answer = Buffer.concat([...before, ...said.map(result), READY])
    const seen = await meet([GREETING, SET, answer], preflight)
    expect(seen).toMatchObject({ kind: 'query', message: expect.stringContaining('answer') })
  })

  test('that say outcomes of other sessions than were asked for end nobody in the report', async () => {
    const valid = fc.constantFrom('reaped', 'changed', 'gone', 'advisoryLock', 'replicationSlot')
    const one = fc.oneof(
      fc.record({ outcome: valid }),
      fc.record({ outcome: fc.constant('refused') }),
      fc.record({ outcome: hostileText, sqlstate: hostileText }),
      fc.jsonValue(),
    )
    const written = fc.oneof(
      fc.array(one, { maxLength: 3 }).map((list) => JSON.stringify(list)),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc.constantFrom(null, '', '{', '[[[[', 'null'),
    )
    const isAnswer = (list: unknown) =>
      Array.isArray(list) &&
      list.length === 1 &&
      ['reaped', 'changed', 'gone', 'advisoryLock', 'replicationSlot'].includes(list[0]?.outcome)
    await fc.assert(
      fc.asyncProperty(written, async (outcomes) => {
        const ended = await meet([GREETING, SET, SNAPSHOT, answerOf(outcomes)], sweep)
        if (isAnswer(parsed(outcomes))) expect(ended).toEqual(parsed(outcomes))
        else expect(ended).toMatchObject([{ outcome: 'refused', sqlstate: expect.any(String) }])
      }),
      { numRuns: 150 },
    )
  })

  function parsed(json: string | null): unknown {
    try {
      return JSON.parse(json ?? '')
    } catch {
      return undefined
    }
  }
})

describe('in place of TLS', () => {
  const tls = { ca: [], verifyName: true }
  test.each<[string, Answer[], Conduct['lastly']]>([
    ['a no', [Buffer.from('N')], 'wait'],
    ['an error', [message('E', Buffer.concat([zero('SFATAL'), Buffer.alloc(1)]))], 'wait'],
    ['nothing', [], 'wait'],
    ['the end', [], 'hang up'],
    ['a yes and nothing more', [Buffer.from('S')], 'wait'],
    ['a yes and the end', [Buffer.from('S')], 'hang up'],
    ['a yes and noise', [Buffer.from('S'), Buffer.alloc(500, 'noise')], 'wait'],
    ['a yes and noise without an end', [Buffer.from('S')], Buffer.alloc(65_536, 'noise')],
    ['yes for ever', [], Buffer.alloc(65_536, 'S')],
  ])('%s is an error with a name', async (_, answers, lastly) => {
    const met = await meet(answers, sweep, { tls, lastly })
    expect(met).toMatchObject({ kind: expect.stringMatching(/^(tls|unreachable)$/) })
  })
})
