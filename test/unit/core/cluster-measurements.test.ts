import { expect, test } from 'vitest'
import {
  combine,
  type InstanceMeasurements,
  measureCluster,
} from '../../../lambda/core/cluster-measurements.ts'
import type { Measurement, MetricName } from '../../../lambda/core/measurements.ts'

const DURATION_MS = 400

type Values = Partial<Record<MetricName, number | number[]>>

function instance(
  id: string,
  values: Values,
  state: InstanceMeasurements['state'] = 'swept',
): InstanceMeasurements {
  const measurements = Object.entries(values).map(
    ([name, value]): Measurement => ({
      name: name as MetricName,
      unit: 'Count',
      values: [value].flat(),
      counts: [value].flat().map(() => 1),
    }),
  )
  return { id, measurements, state }
}

const values = (measurements: Measurement[]) =>
  Object.fromEntries(
    measurements.map((m) => [m.name, m.values.length === 1 ? m.values[0] : m.values]),
  )

const failed = { Exhausted: 0, SweepSucceeded: 0, SweepDuration: 9 }

test.each<[string, InstanceMeasurements[], Values]>([
  [
    'slots are those of the instance with the least room',
    [
      instance('a', {
        SlotsMax: 100,
        SlotsReserved: 3,
        SlotsUsed: 50,
        SlotsAvailable: 47,
        SlotsUsedPercent: 51.5,
      }),
      instance('b', {
        SlotsMax: 20,
        SlotsReserved: 2,
        SlotsUsed: 17,
        SlotsAvailable: 1,
        SlotsUsedPercent: 94.4,
      }),
    ],
    { SlotsMax: 20, SlotsReserved: 2, SlotsUsed: 17, SlotsAvailable: 1, SlotsUsedPercent: 94.4 },
  ],
  [
    'sessions, and what was done to them, are sums',
    [
      instance('a', {
        SessionsActive: 1,
        SessionsIdle: 5,
        SessionsIdleInTransaction: 0,
        SessionsOpened: 4,
        SessionsReaped: 3,
        SessionsSpared: 1,
        ReapsRefused: 0,
      }),
      instance('b', {
        SessionsActive: 2,
        SessionsIdle: 7,
        SessionsIdleInTransaction: 2,
        SessionsOpened: 1,
        SessionsReaped: 0,
        SessionsSpared: 2,
        ReapsRefused: 1,
      }),
    ],
    {
      SessionsActive: 3,
      SessionsIdle: 12,
      SessionsIdleInTransaction: 2,
      SessionsOpened: 5,
      SessionsReaped: 3,
      SessionsSpared: 3,
      ReapsRefused: 1,
    },
  ],
  [
    'what would be reaped is a sum',
    [instance('a', { SessionsWouldReap: 2 }), instance('b', { SessionsWouldReap: 5 })],
    { SessionsWouldReap: 7 },
  ],
  [
    'opened sessions of a reader that just joined are not known',
    [instance('a', { SessionsOpened: 4 }), instance('b', {})],
    { SessionsOpened: 4 },
  ],
  [
    'the oldest transaction of all',
    [instance('a', { OldestTransactionAge: 3 }), instance('b', { OldestTransactionAge: 901 })],
    { OldestTransactionAge: 901 },
  ],
  [
    'the ages of all idle sessions',
    [instance('a', { IdleAge: [1, 5] }), instance('b', { IdleAge: [2, 5] }), instance('c', {})],
    { IdleAge: [1, 2, 5] },
  ],
  [
    'one full instance is enough',
    [instance('a', { Exhausted: 0 }), instance('b', { Exhausted: 1 })],
    { Exhausted: 1 },
  ],
  [
    'one failure is enough',
    [instance('a', { SweepSucceeded: 1 }), instance('b', failed, 'failed')],
    { SweepSucceeded: 0, Exhausted: 0, SweepDuration: DURATION_MS },
  ],
  [
    'the duration is that of the whole sweep',
    [instance('a', { SweepDuration: 120 }), instance('b', { SweepDuration: 90 })],
    { SweepDuration: DURATION_MS },
  ],
  [
    'the others count if one fails',
    [instance('a', { SlotsUsedPercent: 40, SessionsIdle: 4 }), instance('b', failed, 'failed')],
    {
      SlotsUsedPercent: 40,
      SessionsIdle: 4,
      SweepSucceeded: 0,
      Exhausted: 0,
      SweepDuration: DURATION_MS,
    },
  ],
  [
    'there is no room to tell of if one is full and lets no sweep in',
    [
      instance('a', { SlotsUsedPercent: 40, SessionsIdle: 4 }),
      instance('b', { ...failed, Exhausted: 1 }, 'full'),
    ],
    { SessionsIdle: 4, SweepSucceeded: 0, Exhausted: 1, SweepDuration: DURATION_MS },
  ],
  [
    'one that is leaving does not count',
    [instance('a', { SweepSucceeded: 1, Exhausted: 0 }), instance('b', failed, 'leaving')],
    { SweepSucceeded: 1, Exhausted: 0 },
  ],
])('%s', (_, instances, expected) => {
  expect(values(combine(instances, DURATION_MS))).toEqual(expected)
  expect(values(combine(instances.toReversed(), DURATION_MS))).toEqual(expected)
})

test('keeps the count of each age', () => {
  const [ages] = combine([instance('a', { IdleAge: [5, 7] }), instance('b', { IdleAge: 5 })], 0)
  expect(ages).toMatchObject({ values: [5, 7], counts: [2, 1] })
})

test('a cluster of which only leaving instances are listed was not swept', () => {
  const published = measureCluster([instance('a', failed, 'leaving')], DURATION_MS, 'full')
  expect(published.filter((m) => m.instance === undefined)).toMatchObject([
    { name: 'Exhausted', values: [0] },
    { name: 'SweepSucceeded', values: [0] },
    { name: 'SweepDuration', values: [DURATION_MS] },
  ])
})

test('each instance has its metrics in the full set only', () => {
  const instances = [instance('a', { SlotsUsed: 1 }), instance('b', { SlotsUsed: 2 })]
  const of = (set: 'full' | 'essential') =>
    measureCluster(instances, DURATION_MS, set).map((m) => [m.instance, m.values[0]])
  expect(of('full')).toEqual([
    [undefined, 1],
    ['a', 1],
    ['b', 2],
  ])
  expect(of('essential')).toEqual([[undefined, 1]])
})
