import * as v from 'valibot'
import { hint } from './nearest.ts'

/** A strict object, not a list, whose complaint about an unknown key names the nearest known one. */
export function record<T extends v.ObjectEntries>(entries: T) {
  const keys = Object.keys(entries)
  const form = `expected an object with ${keys.join(', ')}`
  const object = v.strictObject(entries, (issue) => {
    if (issue.expected === 'Object') return form
    if (issue.expected !== 'never') return 'missing'
    return `unknown key${hint(String(issue.path?.at(-1)?.key), keys)}; ${form}`
  })
  // To the library an empty list is an empty object, and an empty policy is the default one.
  const anything = v.lazy((input) => (Array.isArray(input) ? v.never(form) : object))
  return anything as v.LazySchema<typeof object>
}

/** A list that is not empty, of what `form` says. */
export function list<T extends v.GenericSchema>(item: T, form: string) {
  return v.pipe(
    v.array(item, `expected a list of ${form}`),
    v.minLength(1, `expected ${form}, not an empty list`),
  )
}

/** A text that is not empty. */
export const text = (form: string) =>
  v.pipe(v.string(`expected ${form}`), v.nonEmpty(`expected ${form}`))

/** A whole number of at least `least`. */
export const wholeFrom = (least: number) => {
  const form = `expected a whole number from ${least}`
  return v.pipe(v.number(form), v.safeInteger(form), v.minValue(least, form))
}

/** One of a few words; the nearest one is told. */
export const oneOf = <const T extends readonly string[]>(words: T) =>
  v.picklist(words, (issue) => {
    const near = typeof issue.input === 'string' ? hint(issue.input, words) : ''
    return `expected ${words.map((word) => `"${word}"`).join(', ')}${near}`
  })

/** Refuses the second of two entries of one name. */
export function uniqueNames<T extends { name: string }>(taken: string) {
  return v.rawCheck<T[]>(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    const names = dataset.value.map(({ name }) => name)
    for (const [key, value] of dataset.value.entries()) {
      if (names.indexOf(value.name) === key) continue
      addIssue({
        message: `expected a name of its own: ${taken}`,
        path: [
          { type: 'array', origin: 'value', input: dataset.value, key, value },
          { type: 'object', origin: 'value', input: { ...value }, key: 'name', value: value.name },
        ],
      })
    }
  })
}

/** A problem with its path below `root`, what is accepted, and what was found. */
export function describe(root: string, issue: v.BaseIssue<unknown>): string {
  const path = (issue.path ?? [])
    .map(({ key }) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
  const found =
    issue.message === 'missing' ? '' : `, found ${brief(issue.path?.at(-1)?.value ?? issue.input)}`
  return `${root}${path}: ${issue.message}${found}`
}

function brief(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value)
  return json.length > 60 ? `${json.slice(0, 57)}...` : json
}
