import { describe, expect, test } from 'vitest'
import { noiseOf, publication, type Reference, referenceLine } from '../../../bench/noise.ts'

const quiet: Reference = { processorMs: 4, forkMs: 0.16, roundTripMs: 0.05, endMs: 0.4 }

describe('a table of a quiet and healthy machine is not noisy', () => {
  test.each<[string, Partial<Reference>, Partial<Reference>, number[]]>([
    ['the same speed', {}, {}, []],
    ['a fifth slower after it', {}, { processorMs: 4.8 }, []],
    ['a fifth faster after it', { forkMs: 0.192 }, {}, []],
    ['2 ms to end a session', { endMs: 2 }, { endMs: 2 }, [2, 1.5]],
    ['another time to end a session', { endMs: 0.4 }, { endMs: 1.4 }, [0.6]],
  ])('%s', (_, before, after, floorsMs) => {
    expect(noiseOf({ ...quiet, ...before }, { ...quiet, ...after }, floorsMs)).toEqual([])
  })
})

describe('a noisy table says what was wrong, with the figures', () => {
  const apart = (part: string, before: string, after: string) =>
    `${part} took ${before} ms before and ${after} ms after, more than a fifth apart`
  const slow = (ms: string) =>
    `one statement took ${ms} ms to end each session, on a healthy machine at most 2 ms`

  test.each<[string, Partial<Reference>, Partial<Reference>, number[], string[]]>([
    ['slower', {}, { processorMs: 4.81 }, [], [apart('processor work', '4', '4.81')]],
    ['faster', { forkMs: 0.193 }, {}, [], [apart('fork and exit', '0.193', '0.16')]],
    ['round trips', {}, { roundTripMs: 0.1 }, [], [apart('round trip', '0.05', '0.1')]],
    ['slow before', { endMs: 2.01 }, {}, [], [slow('2.01')]],
    ['slow after', {}, { endMs: 6 }, [], [slow('6')]],
    ['slow in the table', {}, {}, [0.5, 10.1], [slow('10.1')]],
    ['no figure', {}, { forkMs: Number.NaN }, [], [apart('fork and exit', '0.16', 'NaN')]],
    ['no figure of the floor', {}, {}, [Number.NaN], [slow('NaN')]],
    [
      'several at once',
      {},
      { processorMs: 8, endMs: 3 },
      [],
      [apart('processor work', '4', '8'), slow('3')],
    ],
  ])('%s', (_, before, after, floorsMs, reasons) => {
    expect(noiseOf({ ...quiet, ...before }, { ...quiet, ...after }, floorsMs)).toEqual(reasons)
  })
})

describe('a table is published only if that was asked for, and nothing is wrong with it', () => {
  test.each<[boolean, string[], string | undefined, boolean, string]>([
    [true, [], undefined, true, 'published'],
    [false, [], undefined, false, 'not published: without --publish'],
    [true, ['a', 'b'], undefined, false, 'not published: noisy: a; b'],
    [false, ['a'], undefined, false, 'not published: noisy: a'],
    [true, [], 'no cgroup', false, 'not published: no cgroup'],
    [true, ['a'], 'no cgroup', false, 'not published: no cgroup; noisy: a'],
  ])('asked %s, noise %j, flaw %s', (asked, noise, flaw, publish, said) => {
    expect(publication(asked, noise, flaw)).toEqual({ publish, said })
  })
})

test('the line below a table has every part of the reference', () => {
  expect(referenceLine(quiet, { ...quiet, endMs: 0.4123 })).toBe(
    'The machine before / after: processor work 4 / 4 ms; fork and exit 0.16 / 0.16 ms; round trip 0.05 / 0.05 ms; end of a session 0.4 / 0.412 ms.',
  )
})
