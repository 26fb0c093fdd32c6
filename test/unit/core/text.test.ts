import { expect, test } from 'vitest'
import { table } from '../../../cli/show.ts'
import { hint } from '../../../lambda/core/nearest.ts'
import { printable, safeJson } from '../../../lambda/core/text.ts'

test.each([
  ['plain text', 'plain text'],
  ['ünïcode 数 stays', 'ünïcode 数 stays'],
  ['\u001b[31mred', '\\u001b[31mred'],
  ['\u009b31m', '\\u009b31m'],
  ['bell\u0007', 'bell\\u0007'],
  ['two\nlines', 'two\\u000alines'],
  ['\u202etxet', '\\u202etxet'],
  ['zero\u200bwidth', 'zero\\u200bwidth'],
  ['tag \u{e0041}', 'tag \\udb40\\udc41'],
])('%j is printed as %s', (text, expected) => {
  expect(printable(text)).toBe(expected)
})

test('escaped JSON parses to the same value', () => {
  const value = { name: '\u001b[31m\u009b\u202e\u{e0041}\n"\\ ü' }
  expect(JSON.parse(safeJson(value))).toEqual(value)
  expect(safeJson(value)).not.toMatch(/[\p{Cc}\p{Cf}]/u)
})

test('a table escapes and aligns its cells', () => {
  expect(table(['a', 'b'], [['\u001b', 'x']])).toBe('a       b\n\\u001b  x')
})

test.each([
  ['rulez', ' (did you mean "rules"?)'],
  ['RULES', ' (did you mean "rules"?)'],
  ['something else', ''],
])('the hint for %s', (word, expected) => {
  expect(hint(word, ['rules', 'scope'])).toBe(expected)
})
