import { expect, test } from 'vitest'
import { LOST, outcomeOf, type Request } from '../../clients/outcome.ts'

const round = (...oks: boolean[]): Request[] => oks.map((ok) => ({ round: 1, ok }))
const wellCourse = { rounds: [round(true, true)], failing: 0, died: false, error: null }

test.each([
  ['not noticed', {}],
  ['an error, then well', { rounds: [round(false, true), round(true, true)], error: 'lost' }],
  ['an error, then well', { rounds: [round(true, true)], failing: LOST - 1, error: 'lost' }],
  ['never recovers', { rounds: [round(false, false)], failing: LOST }],
  ['never recovers', { rounds: [], failing: LOST }],
  ['process dies', { rounds: [round(false)], died: true }],
  ['process dies', { rounds: [[]], died: true }],
  ['no session to end', { rounds: [] }],
])('%s: %o', (outcome, different) => {
  expect(outcomeOf({ ...wellCourse, ...different })).toBe(outcome)
})
