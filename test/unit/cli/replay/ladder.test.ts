import { describe, expect, test } from 'vitest'
import { asDuration, LADDER, roundUp, stepOf } from '../../../../cli/replay/ladder.ts'
import { policy } from '../../../support/session.ts'

test('each step is above the one before, by at most a third from 10 s on', () => {
  for (const [index, step] of LADDER.entries()) {
    const next = LADDER[index + 1]
    if (next === undefined) continue
    expect(next).toBeGreaterThan(step)
    if (step >= 10) expect(next / step).toBeLessThanOrEqual(4 / 3)
  }
})

test.each(LADDER.filter((step) => step > 0))('%s s is a duration that a policy takes', (step) => {
  const olderThan = asDuration(step) as '1s'
  const { rules } = policy({ rules: [{ name: 'a', state: 'idle', olderThan }] })
  expect(rules[0]?.olderThan).toBeCloseTo(step, 6)
})

describe('rounding up', () => {
  test.each([
    [0, '10ms'],
    [0.3, '300ms'],
    [59.9, '1m'],
    [60, '1m'],
    [60.1, '70s'],
    [290, '5m'],
    [1_290, '25m'],
    [1_500, '25m'],
    [3_601, '75m'],
    [7_201, '150m'],
    [90_001, '30h'],
    [86_400 * 99, '2376h'],
    [86_400 * 120.5, '2904h'],
  ])('%s s is %s', (seconds, duration) => {
    expect(asDuration(roundUp(seconds))).toBe(duration)
    expect(roundUp(seconds)).toBeGreaterThanOrEqual(seconds)
  })
})

test.each([0, 0.005, 0.01, 9.99, 59, 60, 1_499.9, 1_500, 1e9])('%s s is on its step', (seconds) => {
  const step = stepOf(seconds)
  expect(LADDER[step]).toBeLessThanOrEqual(seconds)
  expect(LADDER[step + 1] ?? Number.POSITIVE_INFINITY).toBeGreaterThan(seconds)
  expect(stepOf(seconds, step)).toBe(step)
})
