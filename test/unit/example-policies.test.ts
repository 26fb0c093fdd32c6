import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readContext } from '../../infra/context.ts'
import { judge } from '../../lambda/core/judge.ts'
import { parsePolicyText } from '../../lambda/core/policy.ts'
import type { Session } from '../../lambda/core/session.ts'
import { session, snapshot } from '../support/session.ts'

const FOLDER = new URL('../../examples/policies/', import.meta.url)
const files = readdirSync(FOLDER)
const read = (file: string) => readFileSync(new URL(file, FOLDER), 'utf8')

test.each(files)('%s is a policy', (file) => {
  expect(parsePolicyText(read(file))).toMatchObject({ ok: true })
})

/** Of 97 slots that ordinary roles can use. */
const QUIET = 10
const FULL_80 = 78
const FULL_90 = 88

const tx = 'idle in transaction'
const aborted = 'idle in transaction (aborted)'
const lambda = { user: 'shop_lambda' }
const minutes = (amount: number) => amount * 60
const hours = (amount: number) => minutes(60) * amount

/** What becomes of one session beside `used - 1` that work: its rule, why it is spared, or `left`. */
function fate(file: string, different: Partial<Session>, used: number, idleBeside: number): string {
  const parsed = parsePolicyText(read(file))
  if (!parsed.ok) throw new Error(parsed.problems.join('\n'))
  const subject = session(different)
  const others = Array.from({ length: used - 1 }, (_, index) =>
    session({
      ...different,
      client: '10.0.1.8',
      ageSeconds: 0,
      state: index < idleBeside ? 'idle' : 'active',
    }),
  )
  const [verdict] = judge(snapshot([subject, ...others]), parsed.value)
  if (verdict?.verdict === 'reap') return `${verdict.action} by ${verdict.rule}`
  return verdict?.verdict === 'spare' ? verdict.reason : 'left'
}

type Row = [
  what: string,
  different: Partial<Session>,
  used: number,
  idleBeside: number,
  fate: string,
]

/** What docs/policy.md says that each example does. */
const FATES: Record<string, Row[]> = {
  'incident.json': [
    ['idle for 29 s', { ageSeconds: 29 }, QUIET, 0, 'left'],
    ['idle for 30 s', { ageSeconds: 30 }, QUIET, 0, 'terminate by idle'],
    ['just used, 5 idle', { ageSeconds: 0 }, QUIET, 4, 'left'],
    ['just used, 6 idle', { ageSeconds: 0 }, QUIET, 5, 'terminate by crowd'],
    ['in a transaction', { state: tx, ageSeconds: hours(9) }, FULL_90, 0, 'left'],
  ],
  'everyday.json': [
    ['idle for 14 minutes, room left', { ageSeconds: minutes(14) }, QUIET, 2, 'left'],
    ['idle for 15 minutes, alone in its pool', { ageSeconds: minutes(15) }, QUIET, 2, 'kept'],
    ['of another application', { ageSeconds: hours(9), user: 'crm' }, FULL_90, 2, 'left'],
    ['a dump', { ageSeconds: hours(1), application: 'pg_dump' }, FULL_80, 2, 'protected'],
    ['in a transaction', { state: tx, ageSeconds: hours(9) }, FULL_90, 0, 'left'],
  ],
  'php-fpm.json': [
    [
      'a worker, idle for 30 s, room left',
      { application: 'shop-queue', ageSeconds: 30 },
      QUIET,
      0,
      'left',
    ],
    [
      'a worker, idle for 30 s, nearly full',
      { application: 'shop-queue', ageSeconds: 30 },
      FULL_80,
      0,
      'terminate by workers',
    ],
    ['a web request in a slow call of 90 s', { ageSeconds: 90 }, FULL_90, 40, 'left'],
    ['idle for 2 minutes, nearly full', { ageSeconds: 120 }, FULL_80, 0, 'terminate by full'],
    ['idle for 10 minutes', { ageSeconds: minutes(10) }, QUIET, 0, 'terminate by stale'],
    ['the notifier', { application: 'notifier', ageSeconds: hours(9) }, FULL_90, 40, 'protected'],
  ],
  'lambda.json': [
    ['idle for 14 minutes, room left', { ...lambda, ageSeconds: minutes(14) }, QUIET, 9, 'left'],
    ['idle for 15 minutes, alone', { ...lambda, ageSeconds: minutes(15) }, QUIET, 9, 'kept'],
    [
      'in a transaction for 15 minutes',
      { ...lambda, state: tx, ageSeconds: minutes(15) },
      QUIET,
      9,
      'left',
    ],
    [
      'in a transaction for 16 minutes',
      { ...lambda, state: tx, ageSeconds: minutes(16) },
      QUIET,
      9,
      'terminate by abandoned',
    ],
    ['of another role', { ageSeconds: hours(9) }, FULL_90, 40, 'left'],
  ],
  'reporting.json': [
    [
      'a report of an hour',
      { user: 'bi_sales', state: 'active', ageSeconds: hours(1) },
      QUIET,
      0,
      'cancel by runaway',
    ],
    [
      "an application's query of an hour",
      { state: 'active', ageSeconds: hours(1) },
      QUIET,
      0,
      'left',
    ],
    [
      'a failed transaction',
      { state: aborted, ageSeconds: minutes(5) },
      QUIET,
      0,
      'terminate by failed',
    ],
    ['a transaction of 59 minutes', { state: tx, ageSeconds: minutes(59) }, QUIET, 0, 'left'],
    [
      'a transaction of an hour',
      { state: tx, ageSeconds: hours(1) },
      QUIET,
      0,
      'terminate by forgotten',
    ],
    ['a load', { user: 'etl_orders', state: tx, ageSeconds: hours(2) }, QUIET, 0, 'protected'],
    ['a prompt after lunch', { ageSeconds: hours(2) }, QUIET, 0, 'left'],
  ],
  'idle-in-transaction.json': [
    ['idle', { ageSeconds: hours(9) }, FULL_90, 80, 'left'],
    ['a failed transaction', { state: aborted, ageSeconds: 60 }, QUIET, 0, 'terminate by failed'],
    ['open for 9 minutes, room left', { state: tx, ageSeconds: minutes(9) }, QUIET, 0, 'left'],
    [
      'open for 2 minutes, nearly full',
      { state: tx, ageSeconds: 120 },
      FULL_80,
      0,
      'terminate by full',
    ],
    ['open for 10 minutes', { state: tx, ageSeconds: minutes(10) }, QUIET, 0, 'terminate by stuck'],
    [
      'a dump',
      { state: tx, ageSeconds: hours(3), application: 'pg_dump' },
      FULL_90,
      0,
      'protected',
    ],
  ],
  'behind-pgbouncer.json': [
    ["the pooler's own", { client: '10.0.3.7', ageSeconds: hours(1) }, FULL_90, 0, 'protected'],
    ['another, alone in its pool', { ageSeconds: hours(1) }, QUIET, 0, 'kept'],
    ['in a transaction', { state: tx, ageSeconds: hours(9) }, FULL_90, 0, 'left'],
  ],
}

test.each(files)('%s stands in cdk.json as it is', (file) => {
  const policy = JSON.parse(read(file))
  const host = 'shop.abcdefghijkl.eu-central-1.rds.amazonaws.com'
  const target = {
    name: 'shop',
    host,
    iamUser: 'reaper',
    resourceId: 'db-ABCDEFGHIJKL',
    mode: 'reap',
  }
  expect(readContext({ targets: [{ ...target, policy }] }).targets[0]?.policy).toEqual(policy)
})

test('docs/policy.md shows each example as it is, and no other policy', () => {
  const document = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')
  const blocks = [...document.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text]) => text)
  expect(blocks.toSorted()).toEqual(files.map(read).toSorted())
})

test('each example has a table', () => {
  expect(Object.keys(FATES).sort()).toEqual(files.sort())
})

describe.each(Object.entries(FATES))('%s', (file, rows) => {
  test.each(rows)('%s', (_, different, used, idleBeside, expected) => {
    expect(fate(file, different, used, idleBeside)).toBe(expected)
  })
})

describe('`keep` leaves the most recently used of a pool, and the others meet their rules', () => {
  test.each([
    ['everyday.json', 'shop_app', QUIET, minutes(15), 2, 'stale'],
    ['everyday.json', 'shop_app', FULL_80, 30, 2, 'full'],
    ['lambda.json', 'shop_lambda', QUIET, minutes(15), 1, 'frozen'],
    ['lambda.json', 'shop_lambda', FULL_80, 60, 1, 'full'],
    ['lambda.json', 'shop_lambda', FULL_90, 5, 1, 'crowd'],
    ['reporting.json', 'bi_sales', QUIET, hours(8), 1, 'overnight'],
    ['behind-pgbouncer.json', 'shop_app', QUIET, minutes(10), 1, 'stale'],
    ['behind-pgbouncer.json', 'shop_app', FULL_80, 30, 1, 'full'],
  ])('%s, user %s, %d slots used, idle for %d s: %d kept, the others by "%s"', (...row) => {
    const [file, user, used, ageSeconds, kept, rule] = row
    const parsed = parsePolicyText(read(file))
    if (!parsed.ok) throw new Error(parsed.problems.join('\n'))
    const pool = Array.from({ length: 25 }, (_, index) =>
      session({ user, ageSeconds: ageSeconds + index }),
    )
    const busy = Array.from({ length: Math.max(0, used - pool.length) }, () =>
      session({ state: 'active', ageSeconds: 1 }),
    )
    const verdicts = judge(snapshot([...pool, ...busy]), parsed.value).slice(0, pool.length)
    const said = verdicts.map((verdict) =>
      verdict.verdict === 'spare' ? verdict.reason : 'rule' in verdict ? verdict.rule : 'left',
    )
    const { budget = pool.length } = parsed.value
    const reaped = Math.min(pool.length - kept, budget)
    expect(said.filter((fate) => fate === 'kept')).toHaveLength(kept)
    expect(said.slice(0, kept)).toEqual(Array(kept).fill('kept'))
    expect(said.filter((fate) => fate === rule)).toHaveLength(reaped)
  })
})
