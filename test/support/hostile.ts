import { expect } from 'vitest'
import { fc } from './seeded.ts'

/** What drives a terminal, ends a text, reorders it, or means something to SQL, JSON or a glob. */
const PIECES =
  '\0 \x1b[31m \x07 \x7f \x9b \r \n \u2028 \u202e \u2066 \u200b \ufeff \ud800 \udc00 😀 𝒳 \u{e0041} é * ? " \' \\ $$ $slotkeeper$ -- ; [ ( %'.split(
    ' ',
  )
export const hostileText = fc.string({
  unit: fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', size: '-1' })),
  maxLength: 12,
})
export const hostileKey = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'then', '', '0'),
  hostileText,
)
export const json = fc.jsonValue({ stringUnit: 'binary' })

/** Nothing that a terminal acts on or that reorders text, by another way than the code's own. */
export const isHarmless = (text: string) =>
  [...text].every((character) => !/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(character))

/** A glob as an anchored regular expression, in which nothing but the two wildcards is special. */
export function expressionOf(written: string): RegExp {
  const parts = [...written].map((character) => {
    if (character === '*') return '[^]*'
    if (character === '?') return '[^]'
    return character.replace(/[\\^$.+()[\]{}|/]/, '\\$&')
  })
  return new RegExp(`^${parts.join('')}$`, 'u')
}

const STEPS = 10_000_000
/** What takes a thirtieth of it today, as long as it does not go through its input again and again. */
const MOST_STEPS = 250 * STEPS

/** Fails with what was thrown, and where one call takes many steps, however large its input. */
export function inTime<T>(run: () => T): T {
  const yardstick = cost(readCharacters)
  const { result, microseconds } = cost(run)
  // In steps of this very machine, as quick or as busy as it is now.
  expect((microseconds / yardstick.microseconds) * STEPS).toBeLessThan(MOST_STEPS)
  return result
}

/** Of the processor's time, which what else runs here does not change. */
function cost<T>(run: () => T): { result: T; microseconds: number } {
  const before = process.cpuUsage()
  const result = run()
  const { user, system } = process.cpuUsage(before)
  return { result, microseconds: user + system }
}

function readCharacters(): number {
  const text = 'a'.repeat(65_536)
  let sum = 0
  for (let step = 0; step < STEPS; step += 1) sum += text.charCodeAt(step % text.length)
  return sum
}
