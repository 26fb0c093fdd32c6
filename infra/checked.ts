import { Token } from 'aws-cdk-lib'
import * as v from 'valibot'
import { brief, describe } from '../lambda/core/schema.ts'
import { isPlaceholder } from './placeholders.ts'

/**
 * A text in which `problem` finds nothing. It does not look at what only the deployment knows, nor at
 * placeholders, which are refused by name where they could be deployed.
 * @param form what an empty value is told to be
 */
export function checked(form: string, problem: (text: string) => string | undefined) {
  const expected = `expected ${form}`
  return v.pipe(
    v.string(expected),
    v.rawCheck<string>(({ dataset, addIssue }) => {
      const { typed, value } = dataset
      if (!typed || Token.isUnresolved(value)) return
      const message = value === '' ? expected : isPlaceholder(value) ? undefined : problem(value)
      if (message !== undefined) addIssue({ message })
    }),
  )
}

/** `true` or `false`, and not a text that looks like it. */
export const flag = v.boolean('expected true or false')

/** A whole number of a range; of what only the deployment knows, nothing is asked. */
export function wholeBetween(least: number, most: number) {
  const form = `expected a whole number from ${least} to ${most}`
  return v.pipe(
    v.number(form),
    v.check((n) => Token.isUnresolved(n) || (Number.isInteger(n) && n >= least && n <= most), form),
  )
}

const NOT_SHOWN = 'a value that is not shown'

/** Where a person may have put a password. */
const MAY_HOLD_SECRET = /secret[^.]*$|^\.?(role|auth|createRole)(?!\.iamUser)/i

/**
 * What was found, as a person can be shown it: synthesis runs where others read along.
 * @param path where it stands; an e-mail address has an "@" and no password
 */
export function shown(path: string, value: unknown): string {
  const text = typeof value === 'string' ? value : brief(value)
  if (/:\/\/|@/.test(text) && !path.endsWith('email')) return NOT_SHOWN
  const harmless =
    value === undefined || value === null || text === '' || /^(arn:|\[\]|\{\})/.test(text)
  return MAY_HOLD_SECRET.test(path) && !harmless ? NOT_SHOWN : brief(value)
}

/** As the schema's own description, without what nobody should read. */
export function problemOf(root: string, issue: v.BaseIssue<unknown>): string {
  const text = describe(root, issue)
  const { message } = issue
  if (message === 'missing') return text
  const path = text.slice(0, text.indexOf(`: ${message}`))
  const value = issue.path?.at(-1)?.value ?? issue.input
  const found = message.startsWith('unknown key') ? NOT_SHOWN : shown(path, value)
  return `${path}: ${message}, found ${found}`
}

/**
 * All problems as one message: one alone in a line, several in a line each, with their paths.
 * @param what what has several problems
 * @param before what one alone begins with
 */
export function refusal(what: string, problems: string[], before = ''): Error {
  const [only, ...more] = problems
  if (more.length === 0) return new Error(`${before}${only}`)
  return new Error(`${what} has ${problems.length} problems:\n  ${problems.join('\n  ')}`)
}
