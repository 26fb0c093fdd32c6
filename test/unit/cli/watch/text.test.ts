import { expect, test } from 'vitest'
import { columns, cut, fitLine, pad, widthOf, wrap } from '../../../../cli/watch/text.ts'
import { RUNS } from '../../../support/arbitrary.ts'
import { hostileText, isHarmless } from '../../../support/hostile.ts'
import { fc } from '../../../support/seeded.ts'

test.each([
  ['checkout-web', 8, 'checkou…'],
  ['checkout', 8, 'checkout'],
  ['日本語アプリ', 8, '日本語…'],
  ['日本語アプリ', 7, '日本語…'],
  ['日本語アプリ', 6, '日本…'],
  ['cafe\u0301-web', 5, 'cafe\u0301…'],
  ['👍🏽👍🏽', 3, '👍🏽…'],
  ['🇯🇵🇯🇵', 3, '🇯🇵…'],
  ['각각', 3, '각…'],
  ['ab', 1, '…'],
  ['ab', 0, ''],
])('%s in %i columns is %s', (text, width, expected) => {
  expect(cut(text, width, '…')).toBe(expected)
})

test('pads by columns, not by characters', () => {
  expect(pad('日本', 6, false)).toBe('日本  ')
  expect(pad('e\u0301', 3, true)).toBe('  e\u0301')
})

test('breaks between words, and cuts the last line', () => {
  const screen = { columns: 10, rows: 5, unicode: true }
  expect(wrap('no slot is left for anybody', screen, 3)).toEqual([
    'no slot is',
    'left for',
    'anybody',
  ])
  expect(wrap('no slot is left for anybody', screen, 2)).toEqual(['no slot is', 'left for …'])
})

const screens = fc.record({
  columns: fc.integer({ min: 1, max: 200 }),
  rows: fc.constant(24),
  unicode: fc.boolean(),
})

test('any line is harmless, and never wider than the screen', () => {
  fc.assert(
    fc.property(fc.array(hostileText, { maxLength: 4 }), screens, (texts, screen) => {
      const line = fitLine(
        texts.map((text) => ({ text })),
        screen,
      )
      const shown = line.map(({ text }) => text).join('')
      expect(isHarmless(shown)).toBe(true)
      expect(line.reduce((sum, { text }) => sum + widthOf(text), 0)).toBeLessThanOrEqual(
        screen.columns,
      )
      for (const wrapped of wrap(texts.join(' '), screen, 3)) {
        expect(widthOf(wrapped)).toBeLessThanOrEqual(screen.columns)
      }
    }),
    RUNS,
  )
})

test('the columns of a table stand under each other, whatever is in them', () => {
  fc.assert(
    fc.property(fc.array(hostileText, { minLength: 1, maxLength: 9 }), (names) => {
      const screen = { columns: 40, rows: 24, unicode: true }
      const lines = columns(
        ['~name', '>n', 'end'],
        names.map((name) => [name, '1', 'x']),
        screen,
      )
      const widths = lines.slice(1).map((line) => widthOf(line))
      expect(new Set(widths).size).toBe(1)
      expect(widths[0]).toBeLessThanOrEqual(screen.columns)
    }),
    RUNS,
  )
})
