import { describe, expect, test } from 'vitest'
import { age, clock, table } from '../../../cli/show.ts'
import { type Shown, showSweep } from '../../../cli/show-sweep.ts'
import { judge } from '../../../lambda/core/judge.ts'
import type { PolicyInput } from '../../../lambda/core/policy.ts'
import { type Mode, makeReport, type Outcome } from '../../../lambda/core/report.ts'
import type { Session, Snapshot } from '../../../lambda/core/session.ts'
import { policy, session, snapshot } from '../../support/session.ts'

const many = (count: number, different: Partial<Session>) =>
  Array.from({ length: count }, (_, index) => session({ ageSeconds: 60 + index, ...different }))

/** Five pools, a listener, and a transaction that keeps two waiting. */
const sleeper = session({ state: 'idle in transaction', application: 'cart', ageSeconds: 754 })
const waiters = many(2, { state: 'active', application: 'checkout' })
const night = [
  ...many(30, { application: 'checkout' }),
  ...many(12, { application: 'stock' }),
  ...many(9, { user: 'shop_report', application: 'metabase' }),
  ...many(4, { user: 'billing', application: '' }),
  ...many(3, { user: 'billing', application: 'invoices' }),
  session({ application: 'mailer', listening: true }),
  sleeper,
  ...waiters,
]
const waiting = [
  { pid: waiters[0]?.pid ?? 0, blockedBy: [sleeper.pid], seconds: 61 },
  { pid: waiters[1]?.pid ?? 0, blockedBy: [waiters[0]?.pid ?? 0], seconds: 9 },
]

function show(
  sessions: Session[],
  {
    mode = 'observe' as Mode,
    input = 'incident' as PolicyInput,
    outcome = { outcome: 'reaped' } as Outcome,
    look = {} as Partial<Snapshot>,
    ...different
  }: Partial<Shown> & {
    mode?: Mode
    input?: PolicyInput
    outcome?: Outcome
    look?: Partial<Snapshot>
  } = {},
): string {
  const seen = snapshot(sessions, look)
  const rules = policy(input)
  const verdicts = judge(seen, rules)
  const report = makeReport({
    target: 'shop:5432',
    mode,
    entry: 'client',
    at: '2026-01-01T00:00:00.000Z',
    durationMs: 21,
    snapshot: seen,
    policy: rules,
    verdicts,
    outcomes:
      mode === 'observe' ? [] : verdicts.filter((v) => v.verdict === 'reap').map(() => outcome),
  })
  return showSweep({
    report,
    snapshot: seen,
    verdicts,
    policy: rules,
    policyName: undefined,
    waiting: [],
    all: false,
    ...different,
  })
}

describe('the table of a bad night', () => {
  const shown = show(night, { waiting })

  test('fits on one screen', () => {
    const lines = shown.split('\n')
    expect(lines.filter((line) => line.length > 80)).toEqual([])
    expect(lines.length).toBeLessThan(50)
  })

  test('has one line for each pool, not for each pid', () => {
    for (const { pid, application } of night) {
      const isNamed = application === 'cart' || waiters.some((waiter) => waiter.pid === pid)
      expect(shown.includes(String(pid))).toBe(isNamed)
    }
    expect(shown).toMatch(/^ +32 +30 +1m 29s .* shop_app@shop +checkout +10\.0\.1\.7$/m)
    expect(shown).toMatch(/^ +30 {2}idle +1m to 1m 29s {2}shop_app@shop +checkout +10\.0\.1\.7$/m)
  })

  test('names both sides of a direct or indirect block', () => {
    expect(shown).toContain(
      `${sleeper.pid} blocks 2 of shop_app@shop checkout 10.0.1.7, for up to 1m 1s: ${waiters.map(({ pid }) => pid).join(', ')}`,
    )
  })

  test('lists each session with --all', () => {
    const all = show(night, { waiting, all: true })
    for (const { pid, state } of night) {
      if (state === 'idle') expect(all).toMatch(new RegExp(`^ *${pid} {2}(idle|crowd) `, 'm'))
    }
  })
})

describe('the first line has the mode, the policy and the result', () => {
  test.each<[Parameters<typeof show>[1], string]>([
    [{}, 'observe, policy "incident", as no policy was given: would reap 2 of 2 sessions'],
    [{ policyName: 'incident' }, 'observe, policy "incident": would reap 2 of 2 sessions'],
    [{ policyName: 'p.json' }, 'observe, policy p.json: would reap 2 of 2 sessions'],
    [{ policyName: 'p.json', mode: 'reap' }, 'reap, policy p.json: reaped 2 of 2 sessions'],
    [
      {
        policyName: 'p.json',
        mode: 'reap',
        outcome: { outcome: 'refused', sqlstate: '42501', message: 'no' },
      },
      'reap, policy p.json: reaped 0 of 2 sessions, 2 refused',
    ],
    [
      { policyName: 'p.json', look: { maySignal: false } },
      'observe, policy p.json: would try to reap 2 of 2 sessions',
    ],
  ])('%o', (different, line) => {
    expect(show(many(2, {}), different).split('\n')[0]).toBe(line)
  })
})

test.each<[string, PolicyInput, boolean]>([
  ['the incident', 'incident', true],
  ['an age', { rules: [{ name: 'a', state: 'idle', olderThan: '1s' }] }, false],
  ['0s of active ones', { rules: [{ name: 'a', state: 'active', olderThan: '0s' }] }, false],
])('%s: warns if the policy ends sessions that were just used', (_, input, isSaid) => {
  expect(show([], { input }).includes('also ends sessions that have just been used')).toBe(isSaid)
})

test('warns about sessions without a tracked state, except those that are never ended', () => {
  const untracked = { state: 'disabled', ageSeconds: null, stateChange: null }
  const warning = 'track_activities is off for 2 of the sessions in scope'
  expect(show(many(2, untracked))).toContain(warning)
  expect(show(many(2, { ...untracked, superuser: true }))).not.toContain('track_activities')
  expect(show(many(2, {}))).not.toContain('track_activities')
})

test('shows a refusal once, with its pools', () => {
  const message = 'permission denied to terminate process'
  const shown = show(night, {
    mode: 'reap',
    outcome: { outcome: 'refused', sqlstate: '42501', message },
    look: { maySignal: false },
  })
  expect(shown.split(message)).toHaveLength(2)
  expect(shown).toContain('GRANT pg_signal_backend TO "reaper";')
  expect(shown).toMatch(/^ +30 {2}42501 +shop_app@shop +checkout/m)
})

test('names from the server cannot control the terminal', () => {
  const evil = { user: '\u001b[31mred', application: '\u202egpj', database: 'a\nb' }
  const sessions = [session(evil), session({ ...evil, state: 'idle in transaction' })]
  const [, blocked] = sessions
  const shown = show(sessions, {
    waiting: [{ pid: sessions[0]?.pid ?? 0, blockedBy: [blocked?.pid ?? 0], seconds: 1 }],
    policyName: '\u001b]0;x\u0007',
  })
  for (const raw of ['\u001b', '\u202e', '\u0007', 'a\nb']) expect(shown).not.toContain(raw)
})

test.each([
  [0, '0s'],
  [0.9, '0s'],
  [59.9, '59s'],
  [60, '1m'],
  [61, '1m 1s'],
  [3600, '1h'],
  [5400, '1h 30m'],
  [3601, '1h'],
  [90_000, '1d 1h'],
  [8_640_000, '100d'],
  [-1, '0s'],
])('%d s are %s', (seconds, said) => {
  expect(age(seconds)).toBe(said)
})

test('a time on another day has its date', () => {
  const now = Date.parse('2026-11-25T00:10:00Z')
  expect(clock(now / 1000 - 60, now)).toBe('00:09:00')
  expect(clock(now / 1000 - 660, now)).toBe('11-24 23:59')
})

test('numbers are right-aligned', () => {
  expect(
    table(
      ['>n', 'name'],
      [
        ['7', 'a'],
        ['12', 'bc'],
      ],
    ),
  ).toBe(' n  name\n 7  a\n12  bc')
})
