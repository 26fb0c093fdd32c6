import { describe, expect, test } from 'vitest'
import {
  type Bounds,
  type Hindsight,
  lookBack,
  type Period,
  tellBounds,
  tellPeriod,
} from '../../../lambda/core/hindsight.ts'
import { judge } from '../../../lambda/core/judge.ts'
import type { Session } from '../../../lambda/core/session.ts'
import { policy, session, snapshot } from '../../support/session.ts'

/** 2026-01-01 00:00 UTC. */
const MIDNIGHT_S = 1_767_225_600
const NOON_S = MIDNIGHT_S + 12 * 3600
const tenMinutes = policy({ rules: [{ name: 'stale', state: 'idle', olderThan: '10m' }] })

/** A session in a state since an instant, s. */
const since = (seconds: number, of: Session = session(), state = 'idle'): Session => ({
  ...of,
  state,
  stateChange: seconds.toFixed(6),
})

/** Observes one snapshot after the other, each at an instant, s. */
function observe(looks: [atSeconds: number, sessions: Session[]][], given = tenMinutes) {
  let hindsight: Hindsight | undefined
  return looks.map(([at, sessions]) => {
    const aged = sessions.map((one) => ({ ...one, ageSeconds: at - Number(one.stateChange) }))
    const look = snapshot(aged, { atMs: at * 1000 })
    const back = lookBack(hindsight, look, judge(look, given))
    hindsight = back.hindsight
    return back
  })
}

const pid = 4711
const one = session({ pid })
const idle = since(NOON_S, one)

describe('a session that the policy would have ended', () => {
  const at = NOON_S + 660
  test.each<[string, Session | undefined, Bounds | undefined]>([
    ['is as it was', idle, undefined],
    ['is gone', undefined, undefined],
    ['is another one with its pid', { ...since(at, one), backendStart: `${at}.000000` }, undefined],
    ['runs a query, perhaps not its first', since(NOON_S + 690, one, 'active'), [660, 690]],
    ['ran a query between two sweeps', since(NOON_S + 690, one), [660, 690]],
    ['stands in a transaction', since(NOON_S + 700.25, one, 'idle in transaction'), [660, 700.3]],
    [
      'is no longer tracked',
      { ...one, state: 'disabled', stateChange: null, ageSeconds: null },
      [660, 720],
    ],
  ])('%s', (_, then, bounds) => {
    const [, , last] = observe([
      [at - 60, [idle]],
      [at, [idle]],
      [at + 60, then ? [then] : []],
    ])
    expect(last?.usedAgain.map(({ idleSeconds }) => idleSeconds)).toEqual(bounds ? [bounds] : [])
    expect(last?.hindsight.period).toMatchObject({
      wouldEnd: 1,
      usedAgain: bounds ? 1 : 0,
      idleSeconds: bounds,
      stillIdle: then === idle ? 1 : 0,
    })
  })

  test('is described with its pool and its rule', () => {
    const [, last] = observe([
      [at, [idle]],
      [at + 60, [since(at + 30, one)]],
    ])
    expect(last?.usedAgain).toEqual([
      {
        pid,
        user: 'shop_app',
        database: 'shop',
        application: 'php',
        client: '10.0.1.7',
        rule: 'stale',
        idleSeconds: [660, 690],
      },
    ])
  })

  test('has wider bounds when sweeps failed before its next use was seen', () => {
    const [, last] = observe([
      [at, [idle]],
      [at + 600, [since(at + 590, one)]],
    ])
    expect(last?.usedAgain[0]?.idleSeconds).toEqual([660, 1250])
  })

  test('counts again when it was used in between', () => {
    const looks = observe([
      [at, [idle]],
      [at + 60, [since(at + 50, one)]],
      [at + 720, [since(at + 50, one)]],
      [at + 780, [since(at + 50, one)]],
    ])
    expect(looks.at(-1)?.hindsight.period).toMatchObject({
      wouldEnd: 2,
      usedAgain: 1,
      stillIdle: 1,
    })
  })

  test('is condemned again in the same sweep if the rule allows no idle time', () => {
    const atOnce = policy({ rules: [{ name: 'now', state: 'idle', olderThan: '0s' }] })
    const looks = observe(
      [
        [at, [idle]],
        [at + 60, [since(at + 50, one)]],
      ],
      atOnce,
    )
    expect(looks.at(-1)?.hindsight.period).toMatchObject({
      wouldEnd: 2,
      usedAgain: 1,
      stillIdle: 1,
    })
  })
})

test('a session whose query would have been cancelled is not counted', () => {
  const cancels = policy({
    rules: [{ name: 'long', state: 'active', olderThan: '10m', action: 'cancel' }],
  })
  const [, last] = observe(
    [
      [NOON_S + 660, [since(NOON_S, one, 'active')]],
      [NOON_S + 720, [since(NOON_S + 700, one)]],
    ],
    cancels,
  )
  expect(last?.hindsight.period).toMatchObject({ wouldEnd: 0, usedAgain: 0 })
})

test('remembers no more sessions than the server has', () => {
  const looks = observe(
    Array.from({ length: 50 }, (_, minute) => {
      const at = NOON_S + minute * 60
      return [at, Array.from({ length: 20 }, () => since(at - 3600))] as [number, Session[]]
    }),
  )
  for (const { hindsight } of looks) expect(hindsight.condemned.size).toBe(20)
  expect(looks.at(-1)?.hindsight.period.wouldEnd).toBe(1000)
})

describe('once a day, at the first sweep after midnight UTC', () => {
  const evening = MIDNIGHT_S - 3600
  const stays = since(evening - 900, session())
  const comesBack = since(evening - 960, one)
  const looks = observe([
    [evening, [stays, comesBack]],
    [MIDNIGHT_S - 20, [stays, since(evening + 360, one)]],
    [MIDNIGHT_S + 40, [stays, since(evening + 360, one)]],
    [MIDNIGHT_S + 100, [stays]],
    [MIDNIGHT_S + 86_400 + 30, []],
    [MIDNIGHT_S + 86_400 + 90, []],
  ])
  const periods = looks.map(({ ended }) => ended)

  test('the period that ended is told, and no other time', () => {
    expect(periods.map((ended) => ended !== undefined)).toEqual([
      false,
      false,
      true,
      false,
      true,
      false,
    ])
  })

  test('the first one begins with the first sweep', () => {
    expect(periods[2]).toEqual({
      fromMs: evening * 1000,
      toMs: (MIDNIGHT_S + 40) * 1000,
      isFirst: true,
      // The session that came back is idle for too long again.
      wouldEnd: 3,
      usedAgain: 1,
      idleSeconds: [960, 1320],
      stillIdle: 2,
    })
  })

  test('each further one begins where the last one ended', () => {
    expect(periods[4]).toEqual({
      fromMs: (MIDNIGHT_S + 40) * 1000,
      toMs: (MIDNIGHT_S + 86_430) * 1000,
      isFirst: false,
      wouldEnd: 0,
      usedAgain: 0,
      idleSeconds: undefined,
      stillIdle: 0,
    })
  })

  test('a clock that was set back ends no period', () => {
    const back = observe([
      [MIDNIGHT_S + 60, []],
      [MIDNIGHT_S - 60, []],
    ])
    expect(back.map(({ ended }) => ended)).toEqual([undefined, undefined])
  })
})

describe('the words', () => {
  const day: Period = {
    fromMs: MIDNIGHT_S * 1000,
    toMs: (MIDNIGHT_S + 86_395) * 1000,
    isFirst: false,
    wouldEnd: 312,
    usedAgain: 3,
    idleSeconds: [960, 1320],
    stillIdle: 4,
  }

  test.each<[Partial<Period>, string]>([
    [
      {},
      'in the last 24 h the policy would have ended 312 sessions; 3 were used again, after 16 to 22 minutes',
    ],
    [
      { usedAgain: 0, idleSeconds: undefined },
      'in the last 24 h the policy would have ended 312 sessions; none was used again',
    ],
    [
      { wouldEnd: 0, usedAgain: 0, idleSeconds: undefined },
      'in the last 24 h the policy would have ended no session',
    ],
    [
      { wouldEnd: 1, usedAgain: 1, idleSeconds: [90, 90] },
      'in the last 24 h the policy would have ended 1 session; 1 was used again, after 90 seconds',
    ],
    [
      { fromMs: (MIDNIGHT_S - 4 * 3600) * 1000 },
      'in the last 28 h the policy would have ended 312 sessions; 3 were used again, after 16 to 22 minutes',
    ],
    [
      { isFirst: true },
      'since 2026-01-01 00:00 UTC, when this environment of the function began to observe, the policy would have ended 312 sessions; 3 were used again, after 16 to 22 minutes',
    ],
  ])('%j', (different, words) => {
    expect(tellPeriod({ ...day, ...different }, '2026-01-01 00:00 UTC')).toBe(words)
  })

  test.each<[Bounds, string]>([
    [[0, 0.4], '0 to 1 second'],
    [[0.5, 59.2], '0 to 60 seconds'],
    [[30, 31], '30 to 31 seconds'],
    [[1, 1], '1 second'],
    [[119.9, 120], '119 seconds to 2 minutes'],
    [[961, 1319], '16 to 22 minutes'],
    [[90, 7199], '90 seconds to 120 minutes'],
    [[1200, 7200], '20 minutes to 2 hours'],
    [[7200, 100_000], '2 to 28 hours'],
  ])('%j', (bounds, words) => {
    expect(tellBounds(bounds)).toBe(words)
  })
})
