import { describe, expect, test } from 'vitest'
import {
  countAtOnce,
  firstUse,
  identityOfUse,
  isAtRest,
  isChurn,
} from '../../../../cli/drill/comeback.ts'
import type { Use } from '../../../../cli/drill/uses.ts'
import { identityOf, type Session } from '../../../../lambda/core/session.ts'
import { session } from '../../../support/session.ts'

describe('at rest', () => {
  const idle = (ageSeconds: number | null) => ({ ageSeconds })
  const stuck = { state: 'idle in transaction' }
  test.each<[string, Partial<Session>[], boolean, boolean]>([
    ['no session', [], false, false],
    ['all idle for long enough', [idle(1), idle(9)], false, true],
    ['one idle for less', [idle(9), idle(0.9)], false, false],
    ['one of unknown age', [idle(9), idle(null)], false, false],
    ['one active', [idle(9), { state: 'active' }], false, false],
    ['one that authenticates', [idle(9), { state: null }], false, false],
    [
      'a listener that has just been notified',
      [idle(9), { listening: true, ageSeconds: 0 }],
      false,
      true,
    ],
    ['a listener alone', [{ listening: true }], false, false],
    ['one in a transaction', [idle(9), stuck], false, true],
    ['one in a transaction, wanted', [idle(9), stuck], true, true],
    ['none in a transaction, wanted', [idle(9)], true, false],
  ])('%s', (_, sessions, inTransaction, expected) => {
    expect(isAtRest(sessions.map(session), 1, inTransaction)).toBe(expected)
  })
})

describe('the first use after a moment', () => {
  const use = (pid: number, usedAt: number | null): Use => ({
    pid,
    backendStart: '1',
    usedAt,
    library: null,
  })
  test.each<[string, Use[], number | null]>([
    ['no session', [], null],
    ['a session that was never used', [use(1, null)], null],
    ['a session that was used before', [use(1, 9.9)], null],
    ['a session that was used at that moment', [use(1, 10)], null],
    ['a session that was used after it', [use(1, 10.5)], 10_500],
    ['the first of several', [use(1, 12), use(2, 11)], 11_000],
    ['a session that was ended', [use(7, 10.5)], null],
  ])('%s', (_, uses, expected) => {
    expect(firstUse(uses, 10_000, ({ pid }) => pid === 7)).toBe(expected)
  })

  test('a use and its session have the same identity', () => {
    const one = session()
    const { pid, backendStart } = one
    expect(identityOfUse({ pid, backendStart, usedAt: null, library: null })).toBe(identityOf(one))
  })
})

test.each([
  [[9.9], 1],
  [[11], 1],
  [[11.001], 0],
  [[10.2, 10.4, 12], 2],
])('of sessions that began at %j s, %i were opened within 1 s of 10 s', (starts, expected) => {
  const opened = starts.map((start) => session({ backendStart: String(start) }))
  expect(countAtOnce(opened, 10_000, 1_000)).toBe(expected)
})

test.each([
  ['policy', 4, 4, true],
  ['policy', 4, 5, true],
  ['policy', 4, 3, false],
  ['policy', 1, 1, false],
  ['restart', 4, 4, false],
] as const)('%s, %i ended, %i opened at once: churn %s', (by, ended, newAtOnce, expected) => {
  expect(isChurn({ by, ended, newAtOnce })).toBe(expected)
})
