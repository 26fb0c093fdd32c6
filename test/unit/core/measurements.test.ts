import { describe, expect, test } from 'vitest'
import { embedded } from '../../../lambda/aws/metrics.ts'
import { distribution, measure, measureFailure } from '../../../lambda/core/measurements.ts'
import type { WrittenPolicy } from '../../../lambda/core/policy.ts'
import type { Entry, Mode, Outcome } from '../../../lambda/core/report.ts'
import type { Session } from '../../../lambda/core/session.ts'
import { circumstances, many, metricOf, strict, sweep } from '../../support/judged.ts'
import { policy, session, snapshot } from '../../support/session.ts'

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

  test('OldestTransactionAge covers only transactions that the policy may end', () => {
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

  test('mode observe counts the sessions that would be reaped and those that would be refused', () => {
    const look = snapshot(many(3))
    const counts = (mode: Mode, wouldRefuse: number) => {
      const { report } = sweep(look.sessions, [], mode)
      const all = measure(look, report, 'full', { policy: strict, newlyCondemned: 2, wouldRefuse })
      return ['SessionsWouldReap', 'ReapsRefused'].map(
        (name) => all.find((measurement) => measurement.name === name)?.values[0],
      )
    }
    expect(counts('observe', 0)).toEqual([2, 0])
    expect(counts('observe', 3)).toEqual([2, 3])
    expect(counts('reap', 0)).toEqual([undefined, 0])
  })

  test('IdleAge is missing without idle sessions', () => {
    expect(metricOf('IdleAge', many(3, { state: 'active' }), [])).toBeUndefined()
  })

  test('the essential set has four metrics', () => {
    const { look, report } = sweep(many(1), [])
    const names = measure(look, report, 'essential', circumstances).map(({ name }) => name)
    expect(names).toEqual(['SlotsUsedPercent', 'SessionsReaped', 'Exhausted', 'SweepSucceeded'])
  })

  test('a failed sweep publishes only what is known', () => {
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

describe('the embedded metric format', () => {
  const written = (samples: number[]) =>
    (
      embedded(
        [distribution('IdleAge', 'Seconds', samples)],
        { via: 'emf', namespace: 'N', target: 't' },
        0,
      ) as { IdleAge: unknown }
    ).IdleAge

  test('writes one value as a number and several as a list', () => {
    expect(written([4])).toBe(4)
    expect(written([4, 4])).toEqual([4, 4])
    expect(written([3, 1, 2, 2])).toEqual([1, 2, 2, 3])
    expect(written(Array.from({ length: 100 }, () => 7))).toHaveLength(100)
  })

  test.each([101, 150, 5000])('writes %d samples as 100 that keep the percentiles', (length) => {
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

  test('is exact to a tenth for few values', () => {
    expect(of([1.04, 1.02, 7, 0.31])).toMatchObject({ values: [0.3, 1, 7], counts: [1, 2, 1] })
  })

  test.each([
    ['thousands', Array.from({ length: 5000 }, (_, i) => i * 1.7)],
    ['from a blink to a month', Array.from({ length: 1000 }, (_, i) => 1.0149 ** i)],
    ['many of two kinds', Array.from({ length: 400 }, (_, i) => (i % 2 ? i : 1e6 + i))],
  ])(
    'of %s stays within the limits of CloudWatch and keeps the sum and the count',
    (_, samples) => {
      const { values, counts } = of(samples)
      expect(values.length).toBeLessThanOrEqual(150)
      expect(values.length).toBe(counts.length)
      expect(total(counts)).toBe(samples.length)
      const sum = total(values.map((value, index) => value * (counts[index] ?? 0)))
      expect(sum / total(samples)).toBeCloseTo(1, 6)
      expect(values.every(Number.isFinite)).toBe(true)
      expect([...values].sort((a, b) => a - b)).toEqual(values)
    },
  )
})
