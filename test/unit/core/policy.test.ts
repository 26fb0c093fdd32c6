import { describe, expect, test } from 'vitest'
import { parsePolicy, parsePolicyText } from '../../../lambda/core/policy.ts'

const rule = { name: 'idle', state: 'idle', olderThan: '30s' }
const withRule = (different: object) => ({ rules: [{ ...rule, ...different }] })

test.each([
  ['by its name', parsePolicy('incident')],
  ['by its name as the variable has it', parsePolicyText('incident')],
  ['by its name as JSON has it', parsePolicyText('"incident"')],
  ['by its name after a byte order mark', parsePolicyText('\uFEFFincident')],
])('the policy of the incident, %s', (_, parsed) => {
  expect(parsed).toEqual({
    ok: true,
    value: {
      scope: {},
      rules: [
        { name: 'idle', state: 'idle', olderThan: 30, action: 'terminate' },
        { name: 'crowd', state: 'idle', olderThan: 0, when: { idleOver: 5 }, action: 'terminate' },
      ],
      keep: 0,
    },
  })
})

test.each([
  ['0s', 0],
  ['250ms', 0.25],
  ['30s', 30],
  ['1.5m', 90],
  ['10m', 600],
  ['2h', 7200],
])('the duration %s is %d seconds', (olderThan, seconds) => {
  expect(parsePolicy(withRule({ olderThan }))).toMatchObject({
    value: { rules: [{ olderThan: seconds }] },
  })
})

test('the example of the design is valid', () => {
  const example = {
    scope: { databases: ['shop'], users: ['shop_*'] },
    protect: [
      { applications: ['pg_dump', 'pgboss'] },
      { clients: ['10.0.9.0/24', 'fd00::/8', 'local'] },
    ],
    rules: [
      rule,
      {
        name: 'crowd',
        state: 'idle',
        olderThan: '0s',
        when: { idleOver: 5, slotsUsedOver: '80%' },
      },
      { name: 'stuck', state: 'idle in transaction', olderThan: '10m', match: { users: ['a'] } },
      { name: 'slow', state: 'active', olderThan: '1h', action: 'cancel' },
    ],
    keep: 2,
    budget: 200,
  }
  expect(parsePolicy(example)).toMatchObject({ ok: true, value: { keep: 2, budget: 200 } })
})

describe('each mistake is reported with its path, the accepted form and what was found', () => {
  test.each<[string, unknown, string, RegExp]>([
    ['not an object', 'idle', 'policy:', /expected an object with scope.*found "idle"/],
    ['a typo in a name', 'incidnt', 'policy:', /or "incident" \(did you mean "incident"\?\)/],
    ['another name', 'strict', 'policy:', /or "incident", found "strict"/],
    [
      'no rules',
      {},
      'policy.rules:',
      /missing; expected one or more rules such as .*"incident" are/,
    ],
    ['a scope alone', { scope: { users: ['a'] } }, 'policy.rules:', /missing; .*"incident" are/],
    ['null', null, 'policy:', /expected an object.*found null/],
    ['a list', [], 'policy', /expected an object.*found \[\]/],
    ['a list for a scope', { scope: [] }, 'policy.scope:', /expected an object with databases/],
    ['a list for a rule', { rules: [[]] }, 'policy.rules[0]:', /expected an object with name/],
    [
      'an unknown key',
      { rulez: [rule] },
      'policy.rulez:',
      /unknown key \(did you mean "rules"\?\)/,
    ],
    [
      'an unknown key of a rule',
      withRule({ olderthan: '1s' }),
      'policy.rules[0].olderthan:',
      /did you mean "olderThan"/,
    ],
    [
      'an unknown key of a match',
      { scope: { user: ['a'] } },
      'policy.scope.user:',
      /did you mean "users"/,
    ],
    [
      'an unknown key of when',
      withRule({ when: { idleOvr: 3 } }),
      'policy.rules[0].when.idleOvr:',
      /did you mean "idleOver"/,
    ],
    [
      'a missing name',
      { rules: [{ state: 'idle', olderThan: '1s' }] },
      'policy.rules[0].name:',
      /missing/,
    ],
    [
      'a missing age',
      { rules: [{ name: 'a', state: 'idle' }] },
      'policy.rules[0].olderThan:',
      /missing/,
    ],
    ['an empty name', withRule({ name: '' }), 'policy.rules[0].name:', /expected a name.*found ""/],
    [
      'a typo in the state',
      withRule({ state: 'idel' }),
      'policy.rules[0].state:',
      /"idle in transaction".*did you mean "idle".*found "idel"/,
    ],
    [
      'a state of the server that no rule takes',
      withRule({ state: 'disabled' }),
      'policy.rules[0].state:',
      /expected "idle"/,
    ],
    [
      'a duration without a unit',
      withRule({ olderThan: '30' }),
      'policy.rules[0].olderThan:',
      /such as "30s".*found "30"/,
    ],
    [
      'a duration as a number',
      withRule({ olderThan: 30 }),
      'policy.rules[0].olderThan:',
      /such as "30s".*found 30/,
    ],
    [
      'a negative duration',
      withRule({ olderThan: '-1s' }),
      'policy.rules[0].olderThan:',
      /found "-1s"/,
    ],
    [
      'a duration in days',
      withRule({ olderThan: '1d' }),
      'policy.rules[0].olderThan:',
      /ms, s, m or h/,
    ],
    ['no rule', { rules: [] }, 'policy.rules:', /not an empty list/],
    ['no protection', { protect: [] }, 'policy.protect:', /not an empty list/],
    ['no name to match', { scope: { users: [] } }, 'policy.scope.users:', /not an empty list/],
    [
      'an empty name to match',
      { scope: { users: [''] } },
      'policy.scope.users[0]:',
      /expected a name/,
    ],
    [
      'a protection of everybody',
      { protect: [{}] },
      'policy.protect[0]:',
      /protects every session/,
    ],
    [
      'two rules of one name',
      { rules: [rule, { ...rule, olderThan: '1s' }] },
      'policy.rules[1].name:',
      /an earlier rule.*found "idle"/,
    ],
    [
      'an empty condition',
      withRule({ when: {} }),
      'policy.rules[0].when:',
      /expected idleOver, slotsUsedOver or both/,
    ],
    [
      'a crowd of a fraction',
      withRule({ when: { idleOver: 1.5 } }),
      'policy.rules[0].when.idleOver:',
      /whole number from 0/,
    ],
    [
      'a share without %',
      withRule({ when: { slotsUsedOver: '80' } }),
      'policy.rules[0].when.slotsUsedOver:',
      /such as "80%"/,
    ],
    [
      'a share over 100%',
      withRule({ when: { slotsUsedOver: '101%' } }),
      'policy.rules[0].when.slotsUsedOver:',
      /"0%" to "100%"/,
    ],
    [
      'cancelling what computes nothing',
      withRule({ action: 'cancel' }),
      'policy.rules[0].action:',
      /only a session in state "active"/,
    ],
    [
      'an unknown action',
      withRule({ action: 'kill' }),
      'policy.rules[0].action:',
      /"terminate", "cancel"/,
    ],
    ['a negative keep', { keep: -1 }, 'policy.keep:', /whole number from 0.*found -1/],
    ['a budget of nothing', { budget: 0 }, 'policy.budget:', /whole number from 1.*found 0/],
    ['a budget as a text', { budget: '5' }, 'policy.budget:', /found "5"/],
    [
      'an address for a network',
      { protect: [{ clients: ['10.0.9.7'] }] },
      'policy.protect[0].clients[0]:',
      /such as "10.0.9.0\/24"/,
    ],
    [
      'a network of too many bits',
      { protect: [{ clients: ['10.0.9.0/33'] }] },
      'policy.protect[0].clients[0]:',
      /found "10.0.9.0\/33"/,
    ],
    [
      'a short address',
      { protect: [{ clients: ['10.1/16'] }] },
      'policy.protect[0].clients[0]:',
      /found "10.1\/16"/,
    ],
    [
      'a network of IPv4 written as IPv6',
      { protect: [{ clients: ['::ffff:10.0.9.0/120'] }] },
      'policy.protect[0].clients[0]:',
      /found "::ffff:10.0.9.0\/120"/,
    ],
    [
      'a host name',
      { protect: [{ clients: ['localhost'] }] },
      'policy.protect[0].clients[0]:',
      /"local"/,
    ],
  ])('%s', (_, input, path, said) => {
    const parsed = parsePolicy(input)
    expect(parsed.ok).toBe(false)
    const problems = parsed.ok ? [] : parsed.problems
    const problem = problems.find((line) => line.startsWith(path))
    expect(problem ?? problems.join('\n')).toMatch(said)
  })

  test('reports all mistakes at once', () => {
    const parsed = parsePolicy({ keep: -1, budget: 0, rules: [] })
    expect(parsed.ok || parsed.problems.length).toBe(3)
  })

  test('refuses text that is neither JSON nor a name', () => {
    expect(parsePolicyText('incidnt')).toMatchObject({
      problems: [expect.stringContaining('or "incident" (did you mean "incident"?)')],
    })
    expect(parsePolicyText('{')).toMatchObject({
      ok: false,
      problems: [expect.stringContaining('expected JSON')],
    })
  })
})
