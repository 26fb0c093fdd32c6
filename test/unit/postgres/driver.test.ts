import { describe, expect, test } from 'vitest'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { hostileText } from '../../support/hostile.ts'
import {
  type Answer,
  type Conduct,
  isHonest,
  MOST_GROWTH,
  meet,
  memory,
  sweep,
} from '../../support/misbehaving-server.ts'
import { fc } from '../../support/seeded.ts'
import {
  AUTHENTICATED,
  answerOf,
  GREETING,
  HEAD,
  int16,
  int32,
  message,
  READY,
  result,
  rows,
  SET,
  SNAPSHOT,
  zero,
} from '../../support/wire.ts'

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

test('reads a correct answer in pieces of any size', async () => {
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

const NOTHING = Buffer.alloc(0)
describe.each<[where: string, before: Buffer[], begun: Buffer, after: Buffer[]]>([
  ['in place of a greeting', [], NOTHING, []],
  ['in the middle of a greeting', [], AUTHENTICATED, []],
  ['after the greeting', [], GREETING, [SET, SNAPSHOT]],
  ['in place of a snapshot', [GREETING, SET], NOTHING, []],
  ['in the middle of a snapshot', [GREETING, SET], result(HEAD), []],
  ['in place of the outcomes', [GREETING, SET, SNAPSHOT], NOTHING, []],
])('noise %s', (_, before, begun, after) => {
  const untilNoise = (said: Buffer) => [...before, Buffer.concat([begun, said])]
  const answers = (said: Buffer) => [...untilNoise(said), ...after]

  test('gives a named error', async () => {
    await fc.assert(
      fc.asyncProperty(noise, async (said) => isHonest(await meet(answers(said), sweep))),
      { numRuns: 70, examples: [[message('E')], [message('N', zero('Snever ended'))]] },
    )
  })

  test('times out when nothing follows', async () => {
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
  ])('endless %s do not fill the memory', async (_, said) => {
    const heldBytes = process.memoryUsage.rss()
    memory.peakBytes = heldBytes
    const block = Buffer.concat(Array(Math.ceil(65_536 / said.length)).fill(said))
    isHonest(await meet(untilNoise(said), sweep, { lastly: block }))
    expect(memory.peakBytes - heldBytes).toBeLessThan(MOST_GROWTH)
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
])('%s is named in the error', async (_, said, named) => {
  expect(await meet([GREETING, SET, said], takeSnapshot)).toMatchObject({
    kind: 'unreachable',
    message: expect.stringContaining(named),
  })
})

test('gives up an endless answer because of its length, not its time', async () => {
  const notice = message('N', Buffer.concat([zero(`S${'x'.repeat(60_000)}`), Buffer.alloc(1)]))
  expect(await meet([GREETING, SET], takeSnapshot, { lastly: notice })).toMatchObject({
    kind: 'unreachable',
    message: expect.stringContaining('an endless answer'),
  })
})

test('an answer that breaks off gives a named error', async () => {
  const cut = fc.nat(SNAPSHOT.length - 1).map((end) => SNAPSHOT.subarray(0, end))
  await fc.assert(
    fc.asyncProperty(cut, async (said) => {
      expect(await meet([GREETING, SET, said], takeSnapshot)).toMatchObject({ kind: 'unreachable' })
    }),
    { numRuns: 50 },
  )
})

describe('instead of TLS', () => {
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
  ])('%s gives a named error', async (_, answers, lastly) => {
    const met = await meet(answers, sweep, { tls, lastly })
    expect(met).toMatchObject({ kind: expect.stringMatching(/^(tls|unreachable)$/) })
  })
})
