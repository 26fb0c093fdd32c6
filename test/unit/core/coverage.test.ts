import { describe, expect, test } from 'vitest'
import { cover, entryAt } from '../../../lambda/core/coverage.ts'
import { judge } from '../../../lambda/core/judge.ts'
import type { PolicyInput } from '../../../lambda/core/policy.ts'
import type { Session } from '../../../lambda/core/session.ts'
import { policy, session, snapshot } from '../../support/session.ts'

type Written = Exclude<PolicyInput, string>
const idle = { name: 'idle', state: 'idle' as const, olderThan: '30s' }

function coverageOf(sessions: Session[], input: PolicyInput) {
  const look = snapshot(sessions)
  const rules = policy(input)
  return cover(look, rules, judge(look, rules))
}

const crowd = () => [
  session(),
  session({ user: 'shop_ro', application: 'metabase', client: '10.0.2.9' }),
  session({ user: 'billing', database: 'books', application: '', client: 'local' }),
  // The sweep's own, which meets nothing.
  session({ pid: 1, user: 'reaper', application: 'slotkeeper', state: 'active' }),
]

describe('policy entries without a matching session', () => {
  test.each<[string, Partial<Written>, string[]]>([
    ['nothing written', {}, []],
    ['a scope that meets', { scope: { users: ['shop_*', 'billing'] } }, []],
    ['one entry of a scope', { scope: { users: ['shop_app', 'shopp_*'] } }, ['scope.users[1]']],
    [
      'each entry of a scope',
      { scope: { users: ['x'], databases: ['y'], applications: ['z'], clients: ['10.9.0.0/16'] } },
      ['scope.databases[0]', 'scope.users[0]', 'scope.applications[0]', 'scope.clients[0]'],
    ],
    [
      'a scope whose entries meet one by one, and none together',
      { scope: { users: ['billing'], databases: ['shop'] } },
      ['scope'],
    ],
    [
      'a protection',
      { protect: [{ users: ['billing'] }, { users: ['dba', 'root'], clients: ['local'] }] },
      ['protect[1]'],
    ],
    [
      'one entry of a protection',
      { protect: [{ applications: ['pg_dump', 'metabase', 'pgboss'] }] },
      ['protect[0].applications[0]', 'protect[0].applications[2]'],
    ],
    [
      'a protection whose entries meet one by one, and none together',
      { protect: [{ users: ['billing'], applications: ['metabase'] }] },
      ['protect[0]'],
    ],
    ['an empty name that is there', { protect: [{ applications: ['*'] }] }, []],
    ["the sweep's own name", { protect: [{ applications: ['slotkeeper'] }] }, ['protect[0]']],
    [
      'an entry of the match of a rule',
      { rules: [idle, { ...idle, name: 'b', match: { clients: ['10.0.0.0/16', '10.9.0.0/16'] } }] },
      ['rules[1].match.clients[1]'],
    ],
    [
      'the match of a rule that is for nobody in scope',
      { scope: { users: ['shop_app'] }, rules: [{ ...idle, match: { users: ['billing'] } }] },
      ['rules[0].match'],
    ],
    ['an empty match', { rules: [{ ...idle, match: {} }] }, []],
  ])('%s', (_, input, unmatched) => {
    const written = { rules: [idle], ...input }
    expect(coverageOf(crowd(), written).unmatched).toEqual(unmatched)
    for (const path of unmatched) expect(entryAt(policy(written), path)).toBeDefined()
  })
})

test.each<[string, Written['scope'], number]>([
  ['no scope', undefined, 3],
  ['a scope', { users: ['shop_*'] }, 2],
  ['a scope that meets nobody', { users: ['shopp_*'] }, 0],
  ["a scope of the sweep's own", { users: ['reaper'] }, 0],
])('counts the sessions in scope with %s', (_, scope, inScope) => {
  expect(coverageOf(crowd(), { scope, rules: [idle] }).inScope).toBe(inScope)
})

describe('the sessions that match a rule', () => {
  const rulesOf = (sessions: Session[], input: Partial<Written>) =>
    coverageOf(sessions, { rules: [idle], ...input }).rules

  test('are counted by match, state and age, for the built-in rule as well', () => {
    const sessions = [
      session(),
      session({ ageSeconds: 29 }),
      session({ state: 'active' }),
      session({ listening: true }),
      session({ user: 'dba' }),
      session({ user: 'other' }),
      session({ user: 'reaper', application: 'slotkeeper', ageSeconds: 900 }),
    ]
    const input: Partial<Written> = {
      scope: { users: ['shop_app', 'dba', 'reaper'] },
      protect: [{ users: ['dba'] }],
      rules: [
        idle,
        { ...idle, name: 'later', olderThan: '1s' },
        { ...idle, name: 'busy', state: 'active', olderThan: '0s', match: { users: ['dba'] } },
      ],
    }
    expect(rulesOf(sessions, input)).toEqual([
      { name: 'idle', matched: 3, due: true },
      { name: 'later', matched: 4, due: true },
      { name: 'busy', matched: 0, due: true },
      { name: 'slotkeeper:orphan', matched: 1, due: true },
    ])
  })

  test.each([
    [{ idleOver: 1 }, true],
    [{ idleOver: 2 }, false],
    [{ slotsUsedOver: '2%' }, true],
    [{ slotsUsedOver: '80%' }, false],
    [{ idleOver: 1, slotsUsedOver: '80%' }, false],
  ])('are counted whether or not the rule is due: %o', (when, due) => {
    const sessions = [session(), session(), session({ listening: true })]
    expect(rulesOf(sessions, { rules: [{ ...idle, when }] })[0]).toEqual({
      name: 'idle',
      matched: 3,
      due,
    })
  })
})
