import { expect, expectTypeOf, test } from 'vitest'
import type { ServerBound } from '../../../infra/index.ts'
import {
  type BoundsInput,
  parseBounds,
  parseBoundsText,
  timeoutMs,
  writeTimeout,
} from '../../../lambda/core/bounds.ts'

test('bounds in the durations of a policy', () => {
  const input: ServerBound[] = [
    { user: 'shop_app', idleSessionTimeout: '1.5h', connectionLimit: 60 },
    {
      user: 'shop_app',
      database: 'shop',
      idleInTransactionSessionTimeout: '5m',
      transactionTimeout: '250ms',
    },
  ]
  expect(parseBounds(input)).toEqual({
    ok: true,
    value: [
      { user: 'shop_app', idleSessionTimeout: 5_400_000, connectionLimit: 60 },
      {
        user: 'shop_app',
        database: 'shop',
        idleInTransactionSessionTimeout: 300_000,
        transactionTimeout: 250,
      },
    ],
  })
  expectTypeOf<keyof ServerBound>().toEqualTypeOf<keyof BoundsInput[number]>()
  expectTypeOf<ServerBound[]>().toExtend<BoundsInput>()
})

const DURATION = 'expected a duration from "1ms" to "596h"'
test.each<[string, unknown, string]>([
  ['no list', {}, 'bounds: expected a list of one or more bounds'],
  ['an empty list', [], 'bounds: expected one or more bounds, not an empty list'],
  ['no role', [{ connectionLimit: 5 }], 'bounds[0].user: missing'],
  ['an empty role', [{ user: '' }], 'bounds[0].user: expected the name of a role'],
  ['a long role', [{ user: 'é'.repeat(32) }], 'bounds[0].user: expected at most 63 bytes'],
  ['a null character', [{ user: 'a\0b' }], 'without a null character'],
  ['no limit', [{ user: 'a' }], 'bounds[0]: expected at least one of idleSessionTimeout,'],
  ['an unknown key', [{ user: 'a', idleTimeout: '1h' }], 'bounds[0].idleTimeout: unknown key'],
  ['a number', [{ user: 'a', idleSessionTimeout: 5 }], '"30s": a number with ms, s, m or h'],
  ["PostgreSQL's unit", [{ user: 'a', idleSessionTimeout: '5min' }], 'with ms, s, m or h'],
  ['no time, which is no bound', [{ user: 'a', idleSessionTimeout: '0s' }], DURATION],
  ['less than PostgreSQL counts', [{ user: 'a', idleSessionTimeout: '0.4ms' }], DURATION],
  ['more than PostgreSQL holds', [{ user: 'a', transactionTimeout: '597h' }], DURATION],
  ['no session', [{ user: 'a', connectionLimit: 0 }], '0 would refuse every login, found 0'],
  ['no limit, as PostgreSQL writes it', [{ user: 'a', connectionLimit: -1 }], 'from 1 to 262143'],
  ['half a session', [{ user: 'a', connectionLimit: 1.5 }], 'a whole number from 1'],
  [
    'a limit in one database',
    [{ user: 'a', database: 'b', connectionLimit: 5 }],
    'bounds[0].connectionLimit: expected no database beside it',
  ],
  [
    'the same place twice',
    [
      { user: 'a', connectionLimit: 5 },
      { user: 'a', idleSessionTimeout: '1h' },
    ],
    'bounds: expected each role once',
  ],
])('refuses %s', (_, input, said) => {
  const parsed = parseBounds(input)
  expect(parsed.ok ? '' : parsed.problems.join('; ')).toContain(said)
})

test.each([
  ['[', 'bounds: expected JSON'],
  ['[{"user":"a","connectionLimit":5,"connectionLimit":50}]', 'bounds[0].connectionLimit'],
])('refuses the text %s', (text, said) => {
  const parsed = parseBoundsText(text)
  expect(parsed.ok ? '' : parsed.problems.join('; ')).toContain(said)
})

test.each([
  ['15min', 900_000],
  ['900s', 900_000],
  ['900000', 900_000],
  [' 0.25 h ', 900_000],
  ['1d', 86_400_000],
  ['500us', 1],
  ['0', 0],
  ['soon', undefined],
  ['1 week', undefined],
])("the catalog's %j is %j ms", (written, ms) => {
  expect(timeoutMs(written)).toBe(ms)
})

test.each([
  [900_000, '15min'],
  [5_400_000, '90min'],
  [172_800_000, '2d'],
  [1_500, '1500ms'],
  [2_147_483_647, '2147483647ms'],
])('%d ms is written as %s', (ms, written) => {
  expect(writeTimeout(ms)).toBe(written)
  expect(timeoutMs(written)).toBe(ms)
})
