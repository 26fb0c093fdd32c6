import { expect, test } from 'vitest'
import { findNext } from '../../../../cli/watch/next.ts'
import { followBirths, poolRows, SORTS, sortPools } from '../../../../cli/watch/pools.ts'
import type { PolicyInput } from '../../../../lambda/core/policy.ts'
import type { Mode, Outcome } from '../../../../lambda/core/report.ts'
import type { Session } from '../../../../lambda/core/session.ts'
import { policy, session, snapshot } from '../../../support/session.ts'
import { sweepOf } from '../../../support/watched.ts'

const stale: PolicyInput = { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] }

function rowsOf(
  sessions: Session[],
  given: PolicyInput = stale,
  mode: Mode = 'observe',
  outcome?: Outcome,
) {
  const look = snapshot(sessions)
  const { verdicts, report } = sweepOf(look, policy(given), mode, outcome)
  return poolRows(look, verdicts, report, findNext(look, policy(given)), followBirths([], look))
}

test('counts what the sessions of a pool do', () => {
  const states = ['idle', 'idle', 'active', 'idle in transaction', 'idle in transaction (aborted)']
  const own = session({ pid: 1, application: 'slotkeeper' })
  const rows = rowsOf([own, ...states.map((state, at) => session({ state, ageSeconds: 10 * at }))])
  expect(rows).toMatchObject([
    { sessions: 5, busy: 1, idle: 2, inTransaction: 2, oldestIdleSeconds: 10 },
  ])
  expect(rowsOf([session({ state: 'active' })])[0]?.oldestIdleSeconds).toBeNull()
})

test.each<
  [what: string, ages: Partial<Session>[], given: PolicyInput, mode: Mode, verdict: object]
>([
  ['some are due', [{ ageSeconds: 901 }, {}], stale, 'observe', { is: 'due', sessions: 1 }],
  [
    'the next one',
    [{ ageSeconds: 800 }, {}],
    stale,
    'observe',
    { is: 'next', seconds: 100, rule: 'stale' },
  ],
  ['some were reaped', [{ ageSeconds: 901 }, {}], stale, 'reap', { is: 'reaped', sessions: 1 }],
  [
    'a spared one',
    [{ ageSeconds: 901, listening: true }],
    stale,
    'observe',
    { is: 'spared', reason: 'listening' },
  ],
  [
    'out of scope',
    [{}],
    { ...stale, scope: { users: ['x'] } },
    'observe',
    { is: 'left', why: 'out of scope' },
  ],
])('the verdict of a pool: %s', (_, sessions, given, mode, verdict) => {
  expect(rowsOf(sessions.map(session), given, mode)[0]?.verdict).toEqual(verdict)
})

test('the verdict of a pool: what the server refused', () => {
  const refused: Outcome = { outcome: 'refused', sqlstate: '42501', message: 'must be a member' }
  const [row] = rowsOf([session({ ageSeconds: 901 })], stale, 'reap', refused)
  expect(row?.verdict).toEqual({ is: 'refused', sessions: 1 })
})

test('a session counts as opened for a minute, even when it has ended, and once', () => {
  const atMs = 1_767_225_600_000
  const bornAgo = (seconds: number) => String(atMs / 1000 - seconds)
  const old = session({ backendStart: bornAgo(61) })
  const short = session({ backendStart: bornAgo(30) })
  const born = session({ backendStart: bornAgo(1) })
  const first = followBirths([], snapshot([old, short, born], { atMs }))
  expect(first).toHaveLength(2)
  const second = followBirths(first, snapshot([born], { atMs: atMs + 2_000 }))
  expect(second).toEqual(first)
  expect(followBirths(second, snapshot([], { atMs: atMs + 31_000 }))).toHaveLength(1)
})

test('sorts by each column, and what is alike by name', () => {
  const one = (application: string, different: Partial<Session>) =>
    session({ application, backendStart: '1767225000', ...different })
  const rows = rowsOf([
    one('a', { state: 'active' }),
    one('a', { state: 'active' }),
    one('b', { ageSeconds: 10 }),
    one('b', { ageSeconds: 20 }),
    one('c', { ageSeconds: 99, backendStart: '1767225599' }),
    one('d', { ageSeconds: 9 }),
  ])
  const orders = SORTS.map((sort) => [
    sort,
    sortPools(rows, sort)
      .map(({ pool }) => pool.application)
      .join(''),
  ])
  expect(Object.fromEntries(orders)).toEqual({
    sessions: 'abcd',
    idle: 'bcda',
    oldest: 'cbda',
    opened: 'cabd',
    name: 'abcd',
  })
})
