import { describe, expect, test } from 'vitest'
import { functionCost, gbSeconds } from '../../../bench/prices.ts'

describe('Lambda bills whole milliseconds, for the memory that the function has', () => {
  test.each([
    [100, 1024, 0.1],
    [100.1, 1024, 0.101],
    [320, 128, 0.04],
    [0.2, 128, 0.000125],
  ])('%s ms with %s MB', (ms, memoryMb, expected) => {
    expect(gbSeconds(ms, memoryMb)).toBeCloseTo(expected, 9)
  })
})

test('a month is 43,800 sweeps: their requests and their GB-seconds', () => {
  expect(functionCost(200, 256)).toBeCloseTo(43_800 * (0.2 / 1e6 + 0.05 * 0.0000133334), 9)
})
