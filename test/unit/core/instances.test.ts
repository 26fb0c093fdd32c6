import { expect, test } from 'vitest'
import { type InstanceRow, presentInstances } from '../../../lambda/core/instances.ts'

const row = (id: string, silentSeconds: number | null = 0.1, isWriter = false): InstanceRow => ({
  id,
  isWriter,
  silentSeconds,
})

/** The names in order; `*` marks the writer, and `?` one that is leaving. */
const told = (...rows: InstanceRow[]) =>
  presentInstances(rows).map(
    ({ id, isWriter, isLeaving }) => `${id}${isWriter ? '*' : ''}${isLeaving ? '?' : ''}`,
  )

test.each<[string, InstanceRow[], string[]]>([
  [
    'the writer comes first, then the others by name',
    [row('c'), row('a'), row('b', 0, true)],
    ['b*', 'a', 'c'],
  ],
  ['the one that answers has no time', [row('a', 0, true), row('b', null)], ['a*', 'b']],
  ['the last 300 s', [row('a', 0, true), row('b', 300), row('c', 300.1)], ['a*', 'b?']],
  [
    'over a minute of silence',
    [row('a', 0, true), row('b', 60), row('c', 60.1)],
    ['a*', 'b', 'c?'],
  ],
  ['the writer always', [row('a', 4000, true), row('b', null)], ['a*?', 'b']],
  ['the old writer after a failover', [row('a', 301, true), row('b', 0.1, true)], ['b*']],
  ['the old writer just after a failover', [row('a', 20, true), row('b', 0.1, true)], ['b*', 'a']],
  ['two rows of one instance', [row('a', 200), row('a', 0.1, true), row('b')], ['a*', 'b']],
  ['no writer during a failover', [row('b'), row('a', null)], ['a', 'b']],
  ['a clock that was set back', [row('a', -3, true), row('b', -1)], ['a*', 'b']],
])('%s', (_, rows, expected) => {
  expect(told(...rows)).toEqual(expected)
  expect(told(...rows.toReversed())).toEqual(expected)
})
