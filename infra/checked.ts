import { Token } from 'aws-cdk-lib'
import * as v from 'valibot'
import { brief, describe } from '../lambda/core/schema.ts'
import { isPlaceholder } from './placeholders.ts'

/**
 * A schema for a text in which `problem` finds nothing. It accepts a value that only the deployment
 * knows. It also accepts a placeholder, which another check refuses by name if it could be deployed.
 * @param form what to expect, for the message about an empty value
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

/** `true` or `false`, but not as text. */
export const flag = v.boolean('expected true or false')

/** A whole number in a range, or a value that only the deployment knows. */
export function wholeBetween(least: number, most: number) {
  const form = `expected a whole number from ${least} to ${most}`
  return v.pipe(
    v.number(form),
    v.check((n) => Token.isUnresolved(n) || (Number.isInteger(n) && n >= least && n <= most), form),
  )
}

const NOT_SHOWN = 'a value that is not shown'

/** Paths where somebody may have put a password by mistake. */
const MAY_HOLD_SECRET = /secret[^.]*$|^\.?(role|auth|createRole)(?!\.iamUser)/i

/**
 * The found value as a message may show it: the output of synthesis is often public, as in a CI log.
 * @param path where the value is; an e-mail address contains "@" but no password, so it is shown
 */
export function shown(path: string, value: unknown): string {
  const text = typeof value === 'string' ? value : brief(value)
  if (/:\/\/|@/.test(text) && !path.endsWith('email')) return NOT_SHOWN
  const harmless =
    value === undefined || value === null || text === '' || /^(arn:|\[\]|\{\})/.test(text)
  return MAY_HOLD_SECRET.test(path) && !harmless ? NOT_SHOWN : brief(value)
}

/** Describes an issue like the schema does, but without a value that may be secret. */
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
 * An error with all problems: a single problem on one line, several on one line each.
 * @param what what has the problems, if there are several
 * @param before the beginning of the message, if there is only one problem
 */
export function refusal(what: string, problems: string[], before = ''): Error {
  const [only, ...more] = problems
  if (more.length === 0) return new Error(`${before}${only}`)
  return new Error(`${what} has ${problems.length} problems:\n  ${problems.join('\n  ')}`)
}
