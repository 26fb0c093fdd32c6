import * as v from 'valibot'
import { hint } from './nearest.ts'
import { printable } from './text.ts'

/** How much of a found value an error quotes. More does not help its reader. */
const MOST_CHARACTERS = 60

/** A strict object, not a list. The error for an unknown key names the nearest known key. */
export function record<T extends v.ObjectEntries>(entries: T) {
  const keys = Object.keys(entries)
  const form = `expected an object with ${keys.join(', ')}`
  const object = v.strictObject(entries, (issue) => {
    if (issue.expected === 'Object') return form
    if (issue.expected !== 'never') return 'missing'
    return `unknown key${hint(String(issue.path?.at(-1)?.key), keys)}; ${form}`
  })
  // The library accepts an empty list as an empty object.
  const anything = v.lazy((input) => (Array.isArray(input) ? v.never(form) : object))
  return anything as v.LazySchema<typeof object>
}

/** A list that is not empty; `form` says what it lists. */
export function list<T extends v.GenericSchema>(item: T, form: string) {
  return v.pipe(
    v.array(item, `expected a list of ${form}`),
    v.minLength(1, `expected ${form}, not an empty list`),
  )
}

/** A text that is not empty; `form` says what it means. */
export const text = (form: string) =>
  v.pipe(v.string(`expected ${form}`), v.nonEmpty(`expected ${form}`))

/** A whole number of at least `least`. */
export const wholeFrom = (least: number) => {
  const form = `expected a whole number from ${least}`
  return v.pipe(v.number(form), v.safeInteger(form), v.minValue(least, form))
}

/** One of a few words. The error names the nearest one. */
export const oneOf = <const T extends readonly string[]>(words: T) =>
  v.picklist(words, (issue) => {
    const near = typeof issue.input === 'string' ? hint(issue.input, words) : ''
    return `expected ${words.map((word) => `"${word}"`).join(', ')}${near}`
  })

/** Refuses an entry that has the same name as an earlier one. */
export function uniqueNames<T extends { name: string }>(taken: string) {
  return v.rawCheck<T[]>(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    const names = new Set<string>()
    for (const [key, value] of dataset.value.entries()) {
      if (!names.has(value.name)) {
        names.add(value.name)
        continue
      }
      addIssue({
        message: `expected a unique name: ${taken}`,
        path: [
          { type: 'array', origin: 'value', input: dataset.value, key, value },
          { type: 'object', origin: 'value', input: { ...value }, key: 'name', value: value.name },
        ],
      })
    }
  })
}

/** The text of a problem: its path below `root`, what is accepted, and what was found. */
export function describe(root: string, issue: v.BaseIssue<unknown>): string {
  const path = writePath((issue.path ?? []).map(({ key }) => key))
  const found = /^missing\b/.test(issue.message)
    ? ''
    : `, found ${brief(issue.path?.at(-1)?.value ?? issue.input)}`
  return `${root}${path}: ${issue.message}${found}`
}

/** The path of a value as text, such as `.rules[0].name`. The caller puts the name of the whole before it. */
export function writePath(keys: unknown[]): string {
  return keys
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${clip(printable(String(key)))}`))
    .join('')
}

/** Any value as a short text that is safe to show: the beginning of its JSON. */
export function brief(value: unknown): string {
  let json: string
  try {
    json = JSON.stringify(value) ?? String(value)
  } catch {
    // The value is nested too deeply for JSON.stringify, or JSON can't express it.
    json = Array.isArray(value) ? '[...]' : `{...}`
  }
  return clip(printable(json))
}

function clip(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS - 3)}...` : text
}
