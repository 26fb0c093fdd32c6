import { describe, expect, test } from 'vitest'
import { dependsOnHolders, judge } from '../../../lambda/core/judge.ts'
import type { PolicyInput } from '../../../lambda/core/policy.ts'
import { RULE_STATES, type Session } from '../../../lambda/core/session.ts'
import type { Verdict } from '../../../lambda/core/verdict.ts'
import { policy, session, snapshot } from '../../support/session.ts'

const idle: PolicyInput = { rules: [{ name: 'idle', state: 'idle', olderThan: '30s' }] }

/** A verdict in one word and its rule or reason. */
function brief(verdict: Verdict | undefined): string {
  if (verdict?.verdict === 'reap') return `reap ${verdict.rule}`
  return verdict?.verdict === 'spare' ? `spare ${verdict.reason}` : 'leave'
}

const judgeOne = (different: Partial<Session>, input: PolicyInput = idle) =>
  brief(judge(snapshot([session(different)]), policy(input))[0])

describe('one session under the rule "idle for 30 s"', () => {
  test.each<[string, Partial<Session>, string]>([
    ['old', {}, 'reap idle'],
    ['just old enough', { ageSeconds: 30 }, 'reap idle'],
    ['not yet', { ageSeconds: 29.999 }, 'leave'],
    ['busy', { state: 'active' }, 'leave'],
    ['in a transaction', { state: 'idle in transaction' }, 'leave'],
    ['in an aborted transaction', { state: 'idle in transaction (aborted)' }, 'leave'],
    ['in a fast-path call', { state: 'fastpath function call' }, 'leave'],
    ['starting', { state: 'starting', user: null, superuser: null }, 'leave'],
    ['not tracked', { state: 'disabled', ageSeconds: null, stateChange: null }, 'leave'],
    ['without a state', { state: null, ageSeconds: null }, 'leave'],
    ['without a known age', { ageSeconds: null }, 'leave'],
    ['listening', { listening: true }, 'spare listening'],
    ['holding an advisory lock', { advisoryLock: true }, 'spare advisoryLock'],
    ["a superuser's", { superuser: true }, 'spare protected'],
    ["RDS's own", { user: 'rdsadmin' }, 'spare protected'],
    ["RDS's proxy's", { user: 'rdsproxyadmin' }, 'spare protected'],
    ['of a dropped role', { user: null, superuser: null }, 'spare protected'],
    ['the sweep itself', { pid: 1 }, 'spare protected'],
    ['another run of Slotkeeper', { user: 'reaper', application: 'slotkeeper' }, 'spare protected'],
    [
      'one by its rotation twin',
      { user: 'reaper_clone', application: 'slotkeeper' },
      'spare protected',
    ],
    [
      'left by an earlier run',
      { user: 'reaper', application: 'slotkeeper', ageSeconds: 300 },
      'reap slotkeeper:orphan',
    ],
    [
      'left by its rotation twin',
      { user: 'reaper_clone', application: 'slotkeeper', ageSeconds: 301 },
      'reap slotkeeper:orphan',
    ],
    [
      'a busy one by an earlier run',
      { user: 'reaper', application: 'slotkeeper', state: 'active', ageSeconds: 900 },
      'leave',
    ],
    ["another role's of that name", { application: 'slotkeeper', ageSeconds: 900 }, 'reap idle'],
    ["the role's own, by hand", { user: 'reaper', application: 'psql' }, 'reap idle'],
  ])('%s', (_, different, expected) => {
    expect(judgeOne(different)).toBe(expected)
  })

  test('the session of this sweep is never an orphan', () => {
    const own = { pid: 1, user: 'reaper', application: 'slotkeeper', ageSeconds: 900 }
    expect(judgeOne(own)).toBe('spare protected')
  })
})

describe('scope, protection and rules', () => {
  const two: PolicyInput = {
    rules: [
      { name: 'first', state: 'idle', olderThan: '10s', match: { users: ['shop_*'] } },
      { name: 'second', state: 'idle', olderThan: '1s' },
      { name: 'slow', state: 'active', olderThan: '1m', action: 'cancel' },
    ],
  }
  test.each<[string, PolicyInput, Partial<Session>, string]>([
    ['the first rule that is met decides', two, {}, 'reap first'],
    ['the next one where it is not', two, { ageSeconds: 5 }, 'reap second'],
    ['or is for others', two, { user: 'other' }, 'reap second'],
    ['a rule of another state', two, { state: 'active' }, 'reap slow'],
    ['out of scope', { ...idle, scope: { databases: ['other'] } }, {}, 'leave'],
    ['in scope', { ...idle, scope: { databases: ['sh*'] } }, {}, 'reap idle'],
    [
      'protection beats every rule',
      { ...two, protect: [{ applications: ['php'] }] },
      {},
      'spare protected',
    ],
    [
      'only where it matches',
      { ...two, protect: [{ applications: ['php'], users: ['x'] }] },
      {},
      'reap first',
    ],
    [
      'protected and met by none',
      { ...idle, protect: [{ users: ['*'] }] },
      { ageSeconds: 1 },
      'leave',
    ],
  ])('%s', (_, input, different, expected) => {
    expect(judgeOne(different, input)).toBe(expected)
  })

  test('a rule with action cancel cancels', () => {
    const [verdict] = judge(snapshot([session({ state: 'active' })]), policy(two))
    expect(verdict).toMatchObject({ verdict: 'reap', action: 'cancel' })
  })
})

describe('a crowd of more than 2', () => {
  const crowd: PolicyInput = {
    scope: { users: ['shop_*'] },
    protect: [{ applications: ['safe'] }],
    rules: [{ name: 'crowd', state: 'idle', olderThan: '0s', when: { idleOver: 2 } }],
  }
  test.each<[string, Partial<Session>[], boolean]>([
    ['three of any age', [{ ageSeconds: 0 }, { ageSeconds: 1 }, {}], true],
    ['two', [{}, {}], false],
    ['two and a busy one', [{}, {}, { state: 'active' }], false],
    ['two and one out of scope', [{}, {}, { user: 'other' }], false],
    ['two and a protected one', [{}, {}, { application: 'safe' }], false],
    ['two and a superuser', [{}, {}, { superuser: true }], false],
    ['two and a listener', [{}, {}, { listening: true }], false],
    ['two and a lock holder', [{}, {}, { advisoryLock: true }], false],
  ])('%s', (_, differences, expected) => {
    const verdicts = judge(snapshot(differences.map(session)), policy(crowd))
    expect(brief(verdicts[0])).toBe(expected ? 'reap crowd' : 'leave')
  })
})

test.each([
  [4, false],
  [5, true],
])('slots used over 80%%: %d of 5 that ordinary roles can use: %s', (used, expected) => {
  const sessions = Array.from({ length: used }, () => session())
  const rule = {
    name: 'full',
    state: 'idle',
    olderThan: '0s',
    when: { slotsUsedOver: '80%' },
  } as const
  const verdicts = judge(
    snapshot(sessions, { slots: { max: 8, reserved: 3 } }),
    policy({ rules: [rule] }),
  )
  expect(verdicts.every((verdict) => brief(verdict) === (expected ? 'reap full' : 'leave'))).toBe(
    true,
  )
})

describe('keep', () => {
  const keep2: PolicyInput = { ...idle, keep: 2 }
  const run = (differences: Partial<Session>[], input = keep2) =>
    judge(snapshot(differences.map(session)), policy(input)).map(brief)

  test('keeps the most recently used sessions of a pool', () => {
    expect(run([{ ageSeconds: 90 }, { ageSeconds: 40 }, { ageSeconds: 70 }])).toEqual([
      'reap idle',
      'spare kept',
      'spare kept',
    ])
  })

  test('counts sessions that match no rule', () => {
    expect(run([{ ageSeconds: 90 }, { ageSeconds: 1 }, { ageSeconds: 2 }])).toEqual([
      'reap idle',
      'leave',
      'leave',
    ])
  })

  test.each(['user', 'database', 'application', 'client'] as const)(
    'a pool ends where the %s differs',
    (field) => {
      const other = { [field]: field === 'client' ? '10.0.1.8' : 'other' }
      expect(run([{}, {}, other, other])).toEqual(Array(4).fill('spare kept'))
    },
  )

  test('a missing name and an empty name are different pools', () => {
    const names = [{ database: null }, { database: '' }]
    expect(run(names, { ...idle, keep: 1 })).toEqual(['spare kept', 'spare kept'])
  })

  test('a listener does not count as kept, whether or not it matches a rule', () => {
    expect(
      run([{ ageSeconds: 40 }, { ageSeconds: 50 }, { ageSeconds: 1, listening: true }]),
    ).toEqual(['spare kept', 'spare kept', 'leave'])
  })

  test('applies to idle sessions only', () => {
    const stuck: PolicyInput = {
      rules: [{ name: 'stuck', state: 'idle in transaction', olderThan: '1s' }],
      keep: 5,
    }
    expect(run([{ state: 'idle in transaction' }], stuck)).toEqual(['reap stuck'])
  })

  test('never keeps an orphan of Slotkeeper', () => {
    const orphan = { user: 'reaper', application: 'slotkeeper', ageSeconds: 600 }
    expect(run([orphan])).toEqual(['reap slotkeeper:orphan'])
  })
})

test('the budget goes to the sessions that are longest in their state', () => {
  const ages = [40, 90, 70, 60]
  const verdicts = judge(
    snapshot(ages.map((ageSeconds) => session({ ageSeconds }))),
    policy({ ...idle, budget: 2 }),
  )
  expect(verdicts.map(brief)).toEqual(['spare budget', 'reap idle', 'reap idle', 'spare budget'])
})

describe('any sessions that the server shows', () => {
  /** A small generator with a seed (Numerical Recipes' LCG), so that a failure can be played again. */
  function randomly(seed: number) {
    let state = seed
    return <T>(choices: readonly T[]): T => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return choices[state % choices.length] as T
    }
  }
  const randomSession = (pick: ReturnType<typeof randomly>) =>
    session({
      user: pick(['shop_app', 'shop_ro', 'other', 'rdsadmin', 'reaper', null]),
      application: pick(['php', 'slotkeeper', 'pg_dump', '']),
      client: pick(['10.0.1.7', 'fd00::1', 'local']),
      state: pick([...RULE_STATES, 'starting', 'disabled', null]),
      ageSeconds: pick([0, 1, 29, 31, 400, null]),
      superuser: pick([true, false, false, null]),
      listening: pick([true, false, false]),
      advisoryLock: pick([true, false, false]),
    })
  const strict = policy({
    scope: { users: ['shop_*', 'rds*'] },
    protect: [{ applications: ['pg_dump'] }],
    rules: RULE_STATES.map((state) => ({ name: state, state, olderThan: '30s' })),
    keep: 1,
    budget: 7,
  })

  test.each(Array.from({ length: 50 }, (_, seed) => seed))('seed %d', (seed) => {
    const pick = randomly(seed)
    const sessions = Array.from({ length: 60 }, () => randomSession(pick))
    const verdicts = judge(snapshot(sessions), strict)
    expect(verdicts.map(({ session }) => session)).toEqual(sessions)
    const reaped = verdicts.filter(({ verdict }) => verdict === 'reap')
    const byPolicy = reaped.filter((verdict) => brief(verdict) !== 'reap slotkeeper:orphan')
    expect(reaped.length).toBeLessThanOrEqual(7)
    for (const { session } of byPolicy) {
      expect(session.user).toMatch(/^shop_/)
      expect(session).toMatchObject({ superuser: false, listening: false, advisoryLock: false })
      expect(session.application).not.toBe('pg_dump')
      expect(session.ageSeconds).toBeGreaterThanOrEqual(30)
    }
    const pids = (list: Verdict[]) =>
      list.flatMap((verdict) => (verdict.verdict === 'reap' ? [verdict.session.pid] : [])).sort()
    const reversed = judge(snapshot([...sessions].reverse()), strict)
    expect(pids(reversed)).toEqual(pids(verdicts))
  })
})

test.each<[string, PolicyInput, boolean]>([
  [
    'a rule for a crowd',
    { rules: [{ name: 'a', state: 'idle', olderThan: '30s', when: { idleOver: 0 } }] },
    true,
  ],
  ['a rule of an age', idle, false],
])('a protected session under %s: whether locks can change its verdict', (_, rules, hangs) => {
  // The other one is the crowd, and too young to meet the rule: only its lock can say that it is none.
  const input = { ...(rules as object), protect: [{ users: ['dba'] }] } as PolicyInput
  const sessions = [session({ user: 'dba' }), session({ ageSeconds: 1, advisoryLock: null })]
  const verdicts = judge(snapshot(sessions), policy(input))
  expect(verdicts.map(brief)).toEqual(['spare protected', 'leave'])
  expect(verdicts.some((verdict) => dependsOnHolders(verdict, policy(input)))).toBe(hangs)
})
