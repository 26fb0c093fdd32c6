import { expect, test } from 'vitest'
import { ageUp } from '../../../../cli/replay/rounding.ts'

test.each([
  [59.2, '1m'],
  [105.9, '1m 46s'],
  [106, '1m 46s'],
  [3_599.5, '1h'],
  [3_659, '1h 1m'],
  [3_661, '1h 2m'],
  [86_401, '1d 1h'],
])('an upper bound of %d s is shown as %s, never less', (seconds, expected) => {
  expect(ageUp(seconds)).toBe(expected)
})
