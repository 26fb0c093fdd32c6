import { expect, test } from 'vitest'
import { type Churn, follow, openedSince, stubborn } from '../../../lambda/core/churn.ts'
import type { Reaped } from '../../../lambda/core/report.ts'
import type { Session } from '../../../lambda/core/session.ts'
import { session, snapshot } from '../../support/session.ts'

const POOL = { user: 'shop_app', database: 'shop', application: 'php', client: '10.0.1.7' }

test.each([
  ['no sweep before', undefined, 1000, null],
  ['nothing opened', 1000, 1000, 0],
  ['some opened', 990, 1000, 10],
  ['statistics reset in between', 1000, 3, null],
])('sessions opened: %s', (_, before, opened, expected) => {
  const earlier = before === undefined ? undefined : { atMs: 0, opened: before, pools: [] }
  expect(openedSince(earlier, snapshot([], { opened }))).toBe(expected)
})

/** Sweeps a minute apart, each of which finds and reaps what was opened `secondsBefore` it. */
function sweeps(each: { secondsBefore: number; count: number; reaped: number }[]): Churn {
  return each.reduce<Churn | undefined>((before, { secondsBefore, count, reaped }, index) => {
    const atMs = 1_767_225_600_000 + index * 60_000
    const backendStart = `${atMs / 1000 - secondsBefore}.000001`
    const sessions = Array.from({ length: count }, () => session({ backendStart }))
    const taken = sessions.slice(0, reaped) as (Session & Reaped)[]
    return follow(before, snapshot(sessions, { atMs }), taken)
  }, undefined) as Churn
}

const fresh = { secondsBefore: 30, count: 5, reaped: 5 }

test.each([
  ['reaped once', [fresh], []],
  ['back three times', [fresh, fresh, fresh], []],
  [
    'back after each of three sweeps',
    [fresh, fresh, fresh, fresh],
    [{ pool: POOL, reaped: 5, sweeps: 4 }],
  ],
  ['back in part', [fresh, fresh, fresh, { ...fresh, count: 4, reaped: 4 }], []],
  ['not back, but older ones reaped', [fresh, fresh, fresh, { ...fresh, secondsBefore: 90 }], []],
  ['spared in between', [fresh, fresh, { ...fresh, reaped: 0 }, fresh, fresh], []],
])('a pool: %s', (_, each, expected) => {
  expect(stubborn(sweeps(each))).toEqual(expected)
})
