import { describe, expect, test } from 'vitest'
import { median, pairedRatio, quantile, spread } from '../../../bench/statistics.ts'

describe('quantiles', () => {
  test.each([
    [[3, 1, 2], 0.5, 2],
    [[4, 1, 2, 3], 0.5, 2.5],
    [[5, 4, 3, 2, 1], 0.25, 2],
    [[1, 2, 3, 4], 0.25, 1.75],
    [[10, 9, 100], 0.75, 55],
    [[7], 0.25, 7],
    [[], 0.5, Number.NaN],
  ])('of %j at %s', (samples, share, expected) => {
    expect(quantile(samples, share)).toBe(expected)
  })
})

test('a figure is the median with its quartiles', () => {
  expect(spread([9.123, 8, 10, 11, 12])).toBe('10 (9.12–11)')
})

test('the ratio is taken round by round: a slow round slows both', () => {
  const floors = [10, 100, 10]
  const samples = [20, 200, 25]
  expect(pairedRatio(samples, floors)).toBe(2)
  expect(median(samples) / median(floors)).toBe(2.5)
})

test('a round without its floor gives no ratio', () => {
  expect(pairedRatio([1, 2], [1])).toBeNaN()
})
