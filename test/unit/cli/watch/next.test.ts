import { expect, test } from 'vitest'
import { agedBy, findConditions, findNext } from '../../../../cli/watch/next.ts'
import { judge } from '../../../../lambda/core/judge.ts'
import type { Session } from '../../../../lambda/core/session.ts'
import { reapVerdicts } from '../../../../lambda/core/verdict.ts'
import * as any from '../../../support/arbitrary.ts'
import { fc } from '../../../support/seeded.ts'
import { policy, session, snapshot } from '../../../support/session.ts'

const idle = (ageSeconds: number, different: Partial<Session> = {}) =>
  session({ ageSeconds, ...different })
const stale = { name: 'stale', state: 'idle', olderThan: '15m' } as const
const crowd = { name: 'crowd', state: 'idle', olderThan: '30s', when: { idleOver: 2 } } as const

test.each<[what: string, given: Parameters<typeof policy>[0], one: Session, found: unknown]>([
  ['counts down to the rule', { rules: [stale] }, idle(888), { rule: 'stale', seconds: 12 }],
  ['meets a rule now', { rules: [stale] }, idle(901), { rule: 'stale', seconds: 0 }],
  ['is in another state', { rules: [stale] }, idle(901, { state: 'active' }), undefined],
  ['is out of scope', { scope: { users: ['x'] }, rules: [stale] }, idle(901), undefined],
  ['is protected', { protect: [{ users: ['shop_*'] }], rules: [stale] }, idle(1), undefined],
  ['listens', { rules: [stale] }, idle(1, { listening: true }), undefined],
  ['is kept', { rules: [stale], keep: 1 }, idle(901), undefined],
  ['has an unknown age', { rules: [stale] }, session({ ageSeconds: null }), undefined],
  ['belongs to a superuser', { rules: [stale] }, idle(901, { superuser: true }), undefined],
  [
    'would meet a rule whose condition does not hold',
    { rules: [{ ...crowd, when: { idleOver: 5 } }] },
    idle(20),
    undefined,
  ],
  [
    'meets the sooner of two rules',
    { rules: [stale, crowd] },
    idle(20),
    { rule: 'crowd', seconds: 10 },
  ],
  [
    'meets two rules at once: the first decides',
    { rules: [stale, { ...stale, name: 'second' }] },
    idle(888),
    { rule: 'stale', seconds: 12 },
  ],
  [
    'is an active query',
    { rules: [{ name: 'long', state: 'active', olderThan: '1h', action: 'cancel' }] },
    idle(3_000, { state: 'active' }),
    { rule: 'long', seconds: 600 },
  ],
])('a session that %s', (_, given, one, found) => {
  const others = [idle(3, { user: 'other' }), idle(4, { user: 'another' })]
  const next = findNext(snapshot([one, ...others]), policy(given))
  expect(next.find(({ session }) => session === one)).toEqual(
    found && { session: one, ...(found as object) },
  )
})

test('the soonest comes first, and of those that are due the longest idle', () => {
  const ages = [10, 2_000, 899, 3_000]
  const found = findNext(
    snapshot(ages.map((age) => idle(age))),
    policy({ rules: [stale], budget: 1 }),
  )
  expect(found.map(({ session }) => session.ageSeconds)).toEqual([3_000, 2_000, 899, 10])
})

test('says of each condition whether it holds, and by which numbers', () => {
  const rules = [
    { ...crowd, when: { idleOver: 5 } },
    { ...crowd, name: 'full', when: { idleOver: 2, slotsUsedOver: '80%' } },
    { ...crowd, name: 'many' },
    stale,
  ]
  expect(findConditions(snapshot([1, 2, 3].map((age) => idle(age))), policy({ rules }))).toEqual([
    { rule: 'crowd', holds: false, why: '3 idle, acts above 5' },
    {
      rule: 'full',
      holds: false,
      why: '3 idle, acts above 2; 3.1 % of the slots used, acts above 80 %',
    },
    { rule: 'many', holds: true, why: '3 idle, acts above 2' },
  ])
})

/** As the server reports it: no age is below 0. */
const looks = any.snapshot.map((look) => ({
  ...look,
  sessions: look.sessions.map((one) => ({
    ...one,
    ageSeconds: one.ageSeconds && Math.max(0, one.ageSeconds),
  })),
}))

test('a session is judged to be reaped from the time on that was said, and not before', () => {
  fc.assert(
    fc.property(looks, any.policyInput, (look, written) => {
      const { budget, ...patient } = policy(written)
      const next = findNext(look, policy(written))
      const victims = (seconds: number) =>
        new Map(
          reapVerdicts(judge(agedBy(look, seconds), patient)).map(({ session, rule }) => [
            session.pid,
            rule,
          ]),
        )
      for (const { session, rule, seconds } of next) {
        // More than the rounding of the sum of an age and a time.
        const little = seconds === 0 ? 0 : 1e-6 * (1 + (session.ageSeconds ?? 0) + seconds)
        expect(victims(seconds + little).get(session.pid)).toBe(rule)
        expect(seconds > little && victims(seconds - little).has(session.pid)).toBe(false)
      }
      const said = next.map(({ session }) => session.pid)
      const ever = [0, 1, 30, 300, 4_000].flatMap((seconds) => [...victims(seconds).keys()])
      expect(said).toEqual(expect.arrayContaining(ever))
    }),
    any.JUDGED,
  )
})
