import { describe, expect, test } from 'vitest'
import { replayPage } from '../../../../cli/replay/html.ts'
import { barsOf, countFrom, placeOf, spanOf } from '../../../../cli/replay/page/bars.ts'
import {
  counted,
  duration,
  letter,
  versionName,
  visible,
} from '../../../../cli/replay/page/format.ts'
import type { Histogram, Histograms, Replay } from '../../../../cli/replay/result.ts'
import { fc } from '../../../support/seeded.ts'

const EDGES = [0, 0.5, 1, 2, 5, 10, 30, 60]
const POOL = { user: 'a', database: 'b', application: 'c', client: 'd', limits: [] }
const histogram = (used: number[], ended: number[] = [], undecided: number[] = []): Histogram => ({
  ...POOL,
  used,
  ended,
  undecided,
})

test.each([
  [0, '0s'],
  [0.2, '0.2s'],
  [0.001, '0.001s'],
  [59.9, '59.9s'],
  [60, '1m'],
  [61.5, '1m 1.5s'],
  [3_600, '1h'],
  [86_400 + 3_661, '1d 1h 1m 1s'],
  [0.1 + 0.2, '0.3s'],
])('%f s is %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text)
})

test.each([
  [0, 'A'],
  [25, 'Z'],
  [26, 'A1'],
])('policy %i is %s', (index, text) => {
  expect(letter(index)).toBe(text)
})

test('numbers and versions read as people write them', () => {
  expect([counted(1, 'gap'), counted(1_234, 'gap')]).toEqual(['1 gap', '1,234 gaps'])
  expect(versionName(140_023)).toBe('14.23')
})

test('what hides or reorders text is visible, and a text without end is cut', () => {
  expect(visible('a\u202eb\0')).toBe('a\\u202eb\\u0000')
  expect(visible('x'.repeat(500))).toBe(`${'x'.repeat(400)}… (500 characters)`)
})

describe('the bars of a picture', () => {
  const one = histogram([3, 0, 2, 0, 1], [0, 0, 0, 0, 0, 4])
  const all: Histograms = { edges: EDGES, pools: [one] }

  test('are all gaps, the shortest in one bar', () => {
    const span = spanOf(all, [5])
    const bars = barsOf(one, EDGES, span)
    expect(bars[0]).toEqual({ from: 0, to: 1, used: 3, ended: 0, undecided: 0 })
    expect(bars.at(-1)).toMatchObject({ from: 60, to: undefined })
    expect(bars.map(({ used }) => used)).toEqual([3, 2, 0, 1, 0, 0, 0])
    expect(bars.map(({ ended }) => ended)).toEqual([0, 0, 0, 0, 4, 0, 0])
  })

  test('a limit below a second keeps the short ones apart', () => {
    expect(barsOf(one, EDGES, spanOf(all, [0.5]))[0]).toMatchObject({ from: 0, to: 0.5, used: 3 })
  })

  test.each([
    [5, 3],
    [7.5, 3.5],
    [0.1, 0],
    [1_000, 6],
  ])('a limit of %f s lies at bar %f', (seconds, place) => {
    expect(placeOf(seconds, EDGES, spanOf(all, [5]))).toBe(place)
  })

  test.each([
    [5, [1, 1]],
    [6, [0, 1]],
    [0, [6, 6]],
    [61, [0, 0]],
  ])('from %f s on there are %j gaps that came back', (seconds, expected) => {
    expect(countFrom(one.used, EDGES, seconds)).toEqual(expected)
  })

  test('lose no gap, whatever there is to show', () => {
    const counts = fc.array(fc.nat(5), { maxLength: EDGES.length })
    const limits = fc.array(fc.constantFrom(0, 0.2, 0.5, 1, 7, 30, 60, 99), { maxLength: 3 })
    fc.assert(
      fc.property(counts, counts, counts, limits, (used, ended, undecided, lines) => {
        const shown = histogram(used, ended, undecided)
        const span = spanOf({ edges: EDGES, pools: [shown] }, lines)
        const bars = barsOf(shown, EDGES, span)
        for (const fate of ['used', 'ended', 'undecided'] as const) {
          const total = (gaps: number[]) => gaps.reduce((sum, more) => sum + more, 0)
          expect(total(bars.map((bar) => bar[fate]))).toBe(total(shown[fate]))
        }
      }),
    )
  })
})

test('no text can leave the script element that it is in', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const hostile = `${text}</script><!--<script>\u2028${text}`
      const replay = { report: { target: hostile } } as unknown as Replay
      const page = replayPage(replay, { script: 'run()', style: 'a{}' })
      const [, json = ''] =
        /<script type="application\/json" id="replay">(.*)<\/script>\n/.exec(page) ?? []
      expect(json).not.toContain('<')
      expect(JSON.parse(json)).toEqual(replay)
      expect(page.match(/<script/g)).toHaveLength(2)
    }),
  )
})

test('the page allows its own script and style, and nothing else', () => {
  const page = replayPage({} as Replay, { script: 'run()', style: 'a{}' })
  const [, policy] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? []
  expect(policy).toBe(
    "default-src 'none'; script-src 'sha256-AvyuiL0SD1mVY3NNxR+V2uo+lhk6RMFrytWmRt6CrJQ='; style-src 'sha256-X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk='; img-src data:; base-uri 'none'; form-action 'none'",
  )
})
