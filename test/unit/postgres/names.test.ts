import { expect, test } from 'vitest'
import { leastBytes } from '../../../lambda/core/names.ts'
import { parsePolicy } from '../../../lambda/core/policy.ts'
import { readName } from '../../../lambda/postgres/names.ts'

// As `encode(bytes, 'escape')` writes them.
test.each([
  ['shop_app', 'UTF8', 'shop_app'],
  ['ren\\303\\251e', 'UTF8', 'renée'],
  ['ren\\303\\251e', 'LATIN1', 'renée'],
  ['ren\\351e', 'LATIN1', 'renée'],
  ['ren\\351e', 'SQL_ASCII', 'renée'],
  ['ren\\351e', 'UTF8', 'renée'],
  ['\\244', 'LATIN9', '€'],
  ['\\306\\374\\313\\334', 'EUC_JP', '日本'],
  ['\\317\\360\\356', 'WIN1251', 'Про'],
  ['a\\\\b', 'UTF8', 'a\\b'],
  ['\\\\303\\\\251', 'UTF8', '\\303\\251'],
])('the bytes %s in %s are %s', (escaped, encoding, name) => {
  expect(readName(escaped, encoding)).toBe(name)
})

test.each([
  ['shop', 4],
  ['shop_*', 5],
  ['v?', 2],
  ['*', 0],
  ['é', 2],
])('the shortest name that %s matches has %i bytes', (glob, bytes) => {
  expect(leastBytes(glob)).toBe(bytes)
})

test.each([
  ['users', 'x'.repeat(63), true],
  ['users', 'x'.repeat(64), false],
  ['databases', 'x'.repeat(64), false],
  ['applications', 'x'.repeat(71), false],
  ['applications', `${'x'.repeat(63)}*`, true],
  ['applications', `${'x'.repeat(64)}*`, false],
  ['users', `${'é'.repeat(31)}?`, true],
  ['users', 'é'.repeat(32), false],
])('%s: %s fits: %s', (field, name, fits) => {
  const parsed = parsePolicy({
    protect: [{ [field]: [name] }],
    rules: [{ name: 'idle', state: 'idle', olderThan: '30s' }],
  })
  expect(parsed.ok).toBe(fits)
  if (!parsed.ok) {
    expect(parsed.problems.join()).toMatch(
      new RegExp(`policy\\.protect\\[0\\]\\.${field}\\[0\\]: expected at most 63 bytes`),
    )
  }
})
