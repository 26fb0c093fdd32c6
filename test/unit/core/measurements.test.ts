import { describe, expect, test } from 'vitest'
import { showSweep } from '../../../cli/show-sweep.ts'
import { embedded } from '../../../lambda/aws/metrics.ts'
import { judge } from '../../../lambda/core/judge.ts'
import { distribution, measure, measureFailure } from '../../../lambda/core/measurements.ts'
import type { WrittenPolicy } from '../../../lambda/core/policy.ts'
import { type Entry, type Mode, makeReport, type Outcome } from '../../../lambda/core/report.ts'
import type { Session } from '../../../lambda/core/session.ts'
import { countSlots } from '../../../lambda/core/slots.ts'
import { policy, session, snapshot } from '../../support/session.ts'

const strict = policy({ rules: [{ name: 'idle', state: 'idle', olderThan: '30s' }] })

const circumstances = { policy: strict, condemned: 0, newlyCondemned: 0 }

function sweep(
  sessions: Session[],
  outcomes: Outcome[],
  mode: Mode = 'reap',
  entry: Entry = 'warm',
) {
  const look = snapshot(sessions)
  const verdicts = judge(look, strict)
  const report = makeReport({
    target: 'shop',
    mode,
    entry,
    at: '2026-01-01T00:00:00.000Z',
    durationMs: 21,
    snapshot: look,
    policy: strict,
    verdicts,
    outcomes,
  })
  return { look, verdicts, report }
}

function metricOf(
  name: string,
  sessions: Session[],
  outcomes: Outcome[],
  mode?: Mode,
  entry?: Entry,
) {
  const { look, report } = sweep(sessions, outcomes, mode, entry)
  return measure(look, report, 'full', circumstances).find(
    (measurement) => measurement.name === name,
  )?.values
}

const many = (count: number, different: Partial<Session> = {}) =>
  Array.from({ length: count }, () => session(different))

describe('slots', () => {
  test.each([
    [100, 3, 95, 2, 97.9],
    [100, 3, 97, 0, 100],
    [100, 3, 100, 0, 103.1],
    [100, 0, 0, 100, 0],
    [3, 3, 1, 0, 100],
  ])('max %d, reserved %d, used %d', (max, reserved, used, available, usedPercent) => {
    const slots = countSlots(snapshot(many(used), { slots: { max, reserved } }))
    expect(slots).toEqual({ max, reserved, used, available, usedPercent })
  })
})

describe('the report', () => {
  test("has the contract's fields and form", () => {
    const one = session({ pid: 7, ageSeconds: 41.23 })
    const { report } = sweep([one, session({ state: 'active' })], [{ outcome: 'reaped' }])
    expect(report).toEqual({
      target: 'shop',
      mode: 'reap',
      at: '2026-01-01T00:00:00.000Z',
      durationMs: 21,
      entry: 'warm',
      server: { version: 180004 },
      slots: { max: 100, reserved: 3, used: 2, available: 95, usedPercent: 2.1 },
      sessions: {
        total: 2,
        active: 1,
        idle: 1,
        idleInTransaction: 0,
        idleInTransactionAborted: 0,
        other: 0,
        opened: null,
      },
      inScope: 2,
      rules: [
        { name: 'idle', matched: 1, due: true, reaped: 1 },
        { name: 'slotkeeper:orphan', matched: 0, due: true, reaped: 0 },
      ],
      unmatched: [],
      cannotSignal: false,
      wouldReap: [],
      reaped: [
        {
          pid: 7,
          user: 'shop_app',
          database: 'shop',
          application: 'php',
          client: '10.0.1.7',
          state: 'idle',
          ageSeconds: 41.2,
          rule: 'idle',
          action: 'terminate',
        },
      ],
      spared: {
        protected: 0,
        listening: 0,
        advisoryLock: 0,
        replicationSlot: 0,
        backup: 0,
        kept: 0,
        budget: 0,
        changed: 0,
        gone: 0,
      },
      refused: [],
    })
  })

  test.each<[Outcome, object, string]>([
    [{ outcome: 'changed' }, { spared: { changed: 1 } }, '1 changed'],
    [{ outcome: 'gone' }, { spared: { gone: 1 } }, '1 gone'],
    [{ outcome: 'advisoryLock' }, { spared: { advisoryLock: 1 } }, '1 took an advisory lock'],
    [{ outcome: 'unsignalled' }, { spared: { budget: 1 } }, '1 not reached'],
    [
      { outcome: 'refused', sqlstate: '42501', message: 'no' },
      { refused: [{ pid: 9, sqlstate: '42501', message: 'no' }] },
      'Refused 1',
    ],
  ])('of the outcome %o', (outcome, expected, shown) => {
    const { look, report, verdicts } = sweep([session({ pid: 9 })], [outcome])
    expect(report).toMatchObject({ reaped: [], wouldReap: [], ...expected })
    const seen = { snapshot: look, policy: strict, policyName: 'p.json', waiting: [], all: false }
    expect(showSweep({ report, verdicts, ...seen })).toContain(shown)
  })

  test('pairs outcomes with their sessions', () => {
    const sessions = [session({ pid: 1001 }), session({ listening: true }), session({ pid: 1003 })]
    const { report } = sweep(sessions, [{ outcome: 'gone' }, { outcome: 'reaped' }])
    expect(report.reaped.map(({ pid }) => pid)).toEqual([1003])
    expect(report.spared).toMatchObject({ listening: 1, gone: 1 })
  })

  test('counts every state', () => {
    const states = [
      'active',
      'idle',
      'idle in transaction',
      'idle in transaction (aborted)',
      'disabled',
      null,
    ]
    const { report } = sweep(
      states.map((state) => session({ state, ageSeconds: 1 })),
      [],
    )
    expect(report.sessions).toEqual({
      total: 6,
      active: 1,
      idle: 1,
      idleInTransaction: 1,
      idleInTransactionAborted: 1,
      other: 2,
      opened: null,
    })
  })
})

describe('the metrics', () => {
  test.each<[string, number, Session[], Outcome[], Mode?, Entry?]>([
    ['SlotsUsed', 2, many(2), []],
    ['SlotsMax', 100, [], []],
    ['SlotsReserved', 3, [], []],
    ['SlotsAvailable', 95, many(2), []],
    ['SessionsIdle', 2, many(2), []],
    ['SessionsActive', 1, many(1, { state: 'active' }), []],
    [
      'SessionsIdleInTransaction',
      2,
      [
        session({ state: 'idle in transaction' }),
        session({ state: 'idle in transaction (aborted)' }),
      ],
      [],
    ],
    [
      'OldestTransactionAge',
      90,
      [session({ transactionSeconds: 90 }), session({ transactionSeconds: 3 })],
      [],
    ],
    ['OldestTransactionAge', 0, many(1), []],
    ['SessionsReaped', 1, many(2), [{ outcome: 'reaped' }, { outcome: 'gone' }]],
    ['SessionsReaped', 0, many(2), [], 'observe'],
    ['SessionsWouldReap', 0, many(2), [], 'observe'],
    ['SessionsSpared', 2, many(2), [{ outcome: 'changed' }, { outcome: 'gone' }]],
    ['ReapsRefused', 1, many(1), [{ outcome: 'refused', sqlstate: '42501', message: '' }]],
    ['Exhausted', 0, [], []],
    ['Exhausted', 1, [], [], 'reap', 'walsender'],
    ['Exhausted', 0, many(96), [], 'reap', 'warm'],
    ['Exhausted', 1, many(97), [], 'reap', 'warm'],
    ['Exhausted', 1, many(97), [], 'reap', 'client'],
    ['Exhausted', 1, many(100), [], 'observe', 'warm'],
    ['SweepSucceeded', 1, [], []],
    ['SweepDuration', 21, [], []],
  ])('%s is %d', (name, value, sessions, outcomes, mode, entry) => {
    expect(metricOf(name, sessions, outcomes, mode, entry)).toEqual([value])
  })

  test('the oldest transaction is one that the policy could touch', () => {
    const sessions = [
      session({ application: 'pg_dump', transactionSeconds: 9000 }),
      session({ user: 'postgres', superuser: true, transactionSeconds: 8000 }),
      session({ user: 'rdsadmin', transactionSeconds: 7000 }),
      session({ user: null, superuser: null, transactionSeconds: 6000 }),
      session({ user: 'crm_app', transactionSeconds: 5000 }),
      session({ user: 'reaper', application: 'slotkeeper', transactionSeconds: 4000 }),
      session({ state: 'active', transactionSeconds: 100 }),
      session({ state: 'idle in transaction', transactionSeconds: 200 }),
    ]
    const look = snapshot(sessions)
    const { report } = sweep(sessions, [])
    const rules: WrittenPolicy['rules'] = [{ name: 'idle', state: 'idle', olderThan: '30s' }]
    const oldest = (input: Partial<WrittenPolicy>) =>
      measure(look, report, 'full', { ...circumstances, policy: policy({ rules, ...input }) }).find(
        ({ name }) => name === 'OldestTransactionAge',
      )?.values
    const protect = [{ applications: ['pg_dump'] }]
    expect(oldest({ scope: { users: ['shop_*'] }, protect })).toEqual([200])
    expect(oldest({ protect })).toEqual([5000])
    expect(oldest({})).toEqual([9000])
  })

  test('observing counts what would be reaped, and what would be refused', () => {
    const look = snapshot(many(3))
    const counts = (mode: Mode, cannotSignal: boolean) => {
      const { report } = sweep(look.sessions, [], mode)
      const refusing = Object.assign(report, { cannotSignal })
      const all = measure(look, refusing, 'full', {
        policy: strict,
        condemned: 3,
        newlyCondemned: 2,
      })
      return ['SessionsWouldReap', 'ReapsRefused'].map(
        (name) => all.find((measurement) => measurement.name === name)?.values[0],
      )
    }
    expect(counts('observe', false)).toEqual([2, 0])
    // They stay, so that each sweep would be refused again.
    expect(counts('observe', true)).toEqual([2, 3])
    expect(counts('reap', true)).toEqual([undefined, 0])
  })

  test('there is no age without an idle session', () => {
    expect(metricOf('IdleAge', many(3, { state: 'active' }), [])).toBeUndefined()
  })

  test('the essential set', () => {
    const { look, report } = sweep(many(1), [])
    const names = measure(look, report, 'essential', circumstances).map(({ name }) => name)
    expect(names).toEqual(['SlotsUsedPercent', 'SessionsReaped', 'Exhausted', 'SweepSucceeded'])
  })

  test('of a failure: what is known, and no more', () => {
    expect(measureFailure(true, 5, 'full').map(({ name, values }) => [name, ...values])).toEqual([
      ['Exhausted', 1],
      ['SweepSucceeded', 0],
      ['SweepDuration', 5],
    ])
    expect(
      measureFailure(false, 5, 'essential').map(({ name, values }) => [name, ...values]),
    ).toEqual([
      ['Exhausted', 0],
      ['SweepSucceeded', 0],
    ])
  })
})

describe('in the embedded metric format', () => {
  const written = (samples: number[]) =>
    (
      embedded(
        [distribution('IdleAge', 'Seconds', samples)],
        { via: 'emf', namespace: 'N', target: 't' },
        0,
      ) as { IdleAge: unknown }
    ).IdleAge

  test('a value is a number, and several are a list', () => {
    expect(written([4])).toBe(4)
    expect(written([4, 4])).toEqual([4, 4])
    expect(written([3, 1, 2, 2])).toEqual([1, 2, 2, 3])
    expect(written(Array.from({ length: 100 }, () => 7))).toHaveLength(100)
  })

  test.each([101, 150, 5000])('of %d samples, 100 that keep the percentiles', (length) => {
    const samples = Array.from({ length }, (_, index) => index)
    const list = written(samples) as number[]
    expect(list).toHaveLength(100)
    expect(list[0]).toBe(0)
    // Of many values the distribution itself has buckets, told by their means.
    expect(list.at(-1)).toBeGreaterThan(0.9 * (length - 1))
    expect(Math.abs((list[50] as number) - length / 2)).toBeLessThan(length / 20)
    expect(Math.abs((list[95] as number) - length * 0.95)).toBeLessThan(length / 10)
  })
})

describe('a distribution', () => {
  const of = (samples: number[]) => distribution('IdleAge', 'Seconds', samples)
  const total = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0)

  test('is exact to a tenth while values are few', () => {
    expect(of([1.04, 1.02, 7, 0.31])).toMatchObject({ values: [0.3, 1, 7], counts: [1, 2, 1] })
  })

  test.each([
    ['thousands', Array.from({ length: 5000 }, (_, i) => i * 1.7)],
    ['from a blink to a month', Array.from({ length: 1000 }, (_, i) => 1.0149 ** i)],
    ['many of two kinds', Array.from({ length: 400 }, (_, i) => (i % 2 ? i : 1e6 + i))],
  ])('of %s keeps within what CloudWatch takes, and keeps sum and count', (_, samples) => {
    const { values, counts } = of(samples)
    expect(values.length).toBeLessThanOrEqual(150)
    expect(values.length).toBe(counts.length)
    expect(total(counts)).toBe(samples.length)
    const sum = total(values.map((value, index) => value * (counts[index] ?? 0)))
    expect(sum / total(samples)).toBeCloseTo(1, 6)
    expect(values.every(Number.isFinite)).toBe(true)
    expect([...values].sort((a, b) => a - b)).toEqual(values)
  })
})
