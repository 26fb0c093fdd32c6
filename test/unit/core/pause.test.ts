import { expect, test } from 'vitest'
import { reasonToStayAway, type Stay, type Usage } from '../../../lambda/core/pause.ts'

const NOON = Date.UTC(2026, 10, 25, 12)
const minutes = (count: number) => count * 60_000
/** Values of the minutes before noon, the last one first. */
const before = (...values: number[]) =>
  values.map((value, index) => ({ atMs: NOON - minutes(index + 1), value }))
const usage = (capacity: number[], connections: number[]): Usage => ({
  capacity: before(...capacity),
  connections: before(...connections),
})
const ever: Stay = { fromMs: 0, toMs: Number.POSITIVE_INFINITY }
/** Connected from and until so many minutes before noon. */
const stay = (from: number, to: number): Stay => ({
  fromMs: NOON - minutes(from),
  toMs: NOON - minutes(to),
})

test.each<[string, Usage, Stay | undefined, 'connect' | 'away' | 'in doubt']>([
  ['somebody is connected', usage([2], [1]), undefined, 'connect'],
  ['nobody is connected', usage([2], [0]), undefined, 'away'],
  ['only it is connected', usage([2], [1]), ever, 'away'],
  ['somebody else is connected', usage([2], [2]), ever, 'connect'],
  ['paused', usage([0], [0]), undefined, 'away'],
  ['paused, whatever its connections', usage([0], [3]), undefined, 'away'],
  ['paused a while ago, and resumed', usage([0.5, 0, 0], [4, 0, 0]), undefined, 'connect'],
  ['left a while ago', usage([2, 2], [0, 40]), undefined, 'away'],
  ['no capacity', usage([], [3]), undefined, 'in doubt'],
  ['no connections', usage([2], []), undefined, 'in doubt'],
  ['paused, and no connections', usage([0], []), undefined, 'away'],
  ['nothing', usage([], []), ever, 'in doubt'],
  ['it closed its connection in that minute', usage([2], [1]), stay(5, 0.5), 'away'],
  ['it closed its connection in the minute before', usage([2], [1]), stay(5, 1.5), 'away'],
  ['it closed its connection long before', usage([2], [1]), stay(5, 3), 'connect'],
  ['it connected after that minute', usage([2], [1]), stay(0, -9), 'connect'],
])('%s', (_, given, own, expected) => {
  const away = reasonToStayAway(given, own)
  const found = away === undefined ? 'connect' : away.inDoubt ? 'in doubt' : 'away'
  expect(found).toBe(expected)
  const shuffled = {
    capacity: given.capacity.toReversed(),
    connections: given.connections.toReversed(),
  }
  expect(reasonToStayAway(shuffled, own)).toEqual(away)
})
