import { describe, expect, test } from 'vitest'
import { drillPolicy, namesApplications } from '../../../../cli/drill/policy.ts'
import type { WrittenPolicy } from '../../../../lambda/core/policy.ts'
import { policy } from '../../../support/session.ts'

type Written = WrittenPolicy['rules'][number]

const drilled = (rules: Written[], inTransaction = false) =>
  drillPolicy(policy({ rules }), { idleSeconds: 1, inTransaction })

describe('the rules of a policy in a drill', () => {
  const idle = { name: 'r', state: 'idle' } as const
  const stuck = { name: 's', state: 'idle in transaction' } as const
  test.each<[string, Written[], boolean, object[], string[]]>([
    [
      'a longer age counts as the idle time of the drill',
      [{ ...idle, olderThan: '15m' }],
      false,
      [{ name: 'r', olderThan: 1 }],
      ['rule "r" ends a session after 1 s instead of 900 s (--idle 900s waits as long)'],
    ],
    ['a shorter age stays', [{ ...idle, olderThan: '0s' }], false, [{ olderThan: 0 }], []],
    [
      'a condition counts as met',
      [{ ...idle, olderThan: '1s', when: { idleOver: 5 } }],
      false,
      [{ name: 'r', olderThan: 1 }],
      ['the condition of rule "r" counts as met'],
    ],
    [
      'a rule for active sessions is left out',
      [
        { ...idle, olderThan: '1s' },
        { name: 'long', state: 'active', olderThan: '1h' },
      ],
      true,
      [{ name: 'r' }, { name: 'slotkeeper:idle in transaction' }, {}],
      [
        'rule "long" is left out: a drill ends no active session',
        'sessions that are idle in a transaction for 1 s are ended too',
      ],
    ],
    [
      'a rule for transactions is left out',
      [
        { ...idle, olderThan: '1s' },
        { ...stuck, olderThan: '1s' },
      ],
      false,
      [{ name: 'r' }],
      ['rule "s" is left out: it needs --in-transaction'],
    ],
    [
      'or counts, with --in-transaction',
      [{ ...stuck, olderThan: '5m' }],
      true,
      [{ name: 's', olderThan: 1 }],
      ['rule "s" ends a session after 1 s instead of 300 s (--idle 300s waits as long)'],
    ],
  ])('%s', (_, rules, inTransaction, expected, differences) => {
    const result = drilled(rules, inTransaction)
    expect(result.policy.rules).toMatchObject(expected)
    expect(result.policy.rules.every((rule) => !('when' in rule))).toBe(true)
    expect(result.differences).toEqual(differences)
  })
})

test('scope, protections, matches, keep and budget hold, but for the networks of scope and rules', () => {
  const match = { users: ['shop_*'], applications: ['php'] }
  const protect = [{ clients: ['10.0.0.0/8'] }]
  const clients = ['10.0.1.0/24']
  const rule = { name: 'r', state: 'idle', olderThan: '1s' } as const
  const { policy: result } = drillPolicy(
    policy({
      scope: { ...match, clients },
      protect,
      rules: [{ ...rule, match: { ...match, clients } }],
      keep: 2,
      budget: 3,
    }),
    { idleSeconds: 1, inTransaction: false },
  )
  expect(result).toMatchObject({ scope: match, protect, keep: 2, budget: 3 })
  expect(result.rules[0]?.match).toEqual(match)
  expect(result.scope).toEqual(match)
})

test.each<[object, boolean]>([
  [{}, false],
  [{ scope: { users: ['a'] } }, false],
  [{ scope: { applications: ['a'] } }, true],
  [{ protect: [{ applications: ['a'] }] }, true],
])('%j names applications: %s', (part, expected) => {
  const rules = [{ name: 'r', state: 'idle' as const, olderThan: '1s' }]
  expect(namesApplications(policy({ rules, ...part }))).toBe(expected)
})
