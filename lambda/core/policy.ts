import * as v from 'valibot'
import { foreignPattern } from './foreign-pattern.ts'
import { isClient } from './match.ts'
import { leastBytes, MOST_NAME_BYTES } from './names.ts'
import { hint } from './nearest.ts'
import type { Parsed } from './parsed.ts'
import { describeRepeated, repeatedKeys } from './repeated-keys.ts'
import { brief, describe, list, oneOf, record, text, uniqueNames, wholeFrom } from './schema.ts'
import { RULE_STATES } from './session.ts'
import { printable } from './text.ts'

const SECONDS_PER_UNIT = { ms: 0.001, s: 1, m: 60, h: 3600 } as const

const DURATION = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)$/
const PERCENT = /^(?:0?\d{1,2}(?:\.\d{1,3})?|100(?:\.0{1,3})?)%$/

/** The prefix of the names of built-in rules. */
export const BUILT_IN = 'slotkeeper:'

const noForeignPattern = v.rawCheck<string>(({ dataset, addIssue }) => {
  const message = dataset.typed ? foreignPattern(dataset.value) : undefined
  if (message !== undefined) addIssue({ message })
})

const fitsName = v.check<string, string>(
  (glob) => leastBytes(glob) <= MOST_NAME_BYTES,
  `expected at most ${MOST_NAME_BYTES} bytes: PostgreSQL cuts longer names off, so this matches none; write the first ${MOST_NAME_BYTES} bytes, or a glob such as "shop_*"`,
)

const glob = v.pipe(text('a name or a glob such as "shop_*"'), noForeignPattern, fitsName)
const globs = list(glob, 'one or more names or globs')

const CLIENT_FORM = 'expected a network such as "10.0.9.0/24" or "fd00::/8", or "local"'
const isNetwork = v.check<string, string>(isClient, CLIENT_FORM)
const client = v.pipe(v.string(CLIENT_FORM), isNetwork)

const match = record({
  databases: v.optional(globs),
  users: v.optional(globs),
  applications: v.optional(globs),
  clients: v.optional(list(client, 'one or more networks, or "local"')),
})

const DURATION_FORM = 'expected a duration such as "30s": a number with ms, s, m or h'
/** A duration such as `15m`, in seconds. */
export const duration = v.pipe(
  v.string(DURATION_FORM),
  v.regex(DURATION, DURATION_FORM),
  v.transform((written) => {
    const [, amount, unit] = DURATION.exec(written) as unknown as [
      string,
      string,
      keyof typeof SECONDS_PER_UNIT,
    ]
    return Number(amount) * SECONDS_PER_UNIT[unit]
  }),
)

const PERCENT_FORM = 'expected a share of the slots from "0%" to "100%", such as "80%"'
const percent = v.pipe(
  v.string(PERCENT_FORM),
  v.regex(PERCENT, PERCENT_FORM),
  v.transform((written) => Number.parseFloat(written)),
)

const conditionEntries = record({
  idleOver: v.optional(wholeFrom(0)),
  slotsUsedOver: v.optional(percent),
})

const isCondition = v.check<v.InferOutput<typeof conditionEntries>, string>(
  (when) => when.idleOver !== undefined || when.slotsUsedOver !== undefined,
  'expected idleOver, slotsUsedOver or both',
)

const condition = v.pipe(conditionEntries, isCondition)

const comment = v.optional(v.string('expected a text'))

const ruleEntries = record({
  name: v.pipe(
    text('a name for the rule'),
    v.regex(
      new RegExp(`^(?!${BUILT_IN})`),
      `expected a name that does not begin with "${BUILT_IN}", as those of built-in rules do`,
    ),
  ),
  match: v.optional(match),
  state: oneOf(RULE_STATES),
  olderThan: duration,
  when: v.optional(condition),
  action: v.optional(oneOf(['terminate', 'cancel']), 'terminate'),
  $comment: comment,
})

const cancelsQueries = v.forward(
  v.check<v.InferOutput<typeof ruleEntries>, string>(
    (rule) => rule.action === 'terminate' || rule.state === 'active',
    'expected "terminate": only a session in state "active" has a query to cancel',
  ),
  ['action'],
)

const ruleSchema = v.pipe(ruleEntries, cancelsQueries)

const oneNameEach = uniqueNames<v.InferOutput<typeof ruleSchema>>('an earlier rule has this one')

const writtenPolicy = record({
  scope: v.optional(match, {}),
  protect: v.optional(
    list(
      v.pipe(
        match,
        v.minEntries(
          1,
          'expected at least one of databases, users, applications, clients: an empty entry protects every session',
        ),
      ),
      'one or more entries to protect',
    ),
  ),
  rules: v.pipe(list(ruleSchema, 'one or more rules'), oneNameEach),
  keep: v.optional(wholeFrom(0), 0),
  budget: v.optional(wholeFrom(1)),
  $schema: v.optional(v.string('expected where an editor finds the JSON Schema')),
  $comment: comment,
})

const policySchema = v.pipe(
  writtenPolicy,
  v.transform(({ $schema, $comment, ...policy }) => ({
    ...policy,
    rules: policy.rules.map(({ $comment, ...rule }) => rule),
  })),
)

/** What the JSON Schema of the policy is made of. Its checks are those that no keyword of JSON Schema is for. */
export const POLICY_PARTS = {
  writtenPolicy,
  match,
  rule: ruleSchema,
  condition,
  glob,
  client,
  checks: { noForeignPattern, fitsName, isNetwork, isCondition, cancelsQueries, oneNameEach },
}

/** The name of the built-in policy, accepted wherever a policy is. */
export const INCIDENT = 'incident'

/** Ends sessions that are idle for over 30 s, and every idle session once more than 5 are idle. */
const INCIDENT_POLICY: v.InferInput<typeof policySchema> = {
  rules: [
    { name: 'idle', state: 'idle', olderThan: '30s' },
    { name: 'crowd', state: 'idle', olderThan: '0s', when: { idleOver: 5 } },
  ],
}

/** The error for mode `reap` without a policy. */
export const POLICY_MISSING = `missing; in mode "reap" expected a policy with rules, or "${INCIDENT}": it ends sessions that are idle for over 30 s, and every idle session once more than 5 are idle`

const RULES_MISSING = `expected one or more rules such as { "name": "stale", "state": "idle", "olderThan": "15m" }. A policy has no rules by default; those of "${INCIDENT}" are ${JSON.stringify(INCIDENT_POLICY.rules)}`

/** A policy as a person writes it, or the name of the built-in policy. */
export type PolicyInput = WrittenPolicy | typeof INCIDENT
/** A policy that is written out. */
export type WrittenPolicy = v.InferInput<typeof policySchema>
/** A policy as the sweep uses it: durations in seconds, shares in percent, defaults filled in. */
export type Policy = v.InferOutput<typeof policySchema>
export type Rule = Policy['rules'][number]
export type Action = Rule['action']

/**
 * Reads a policy. Each problem names the path, what is accepted and what was found, for example
 * `policy.rules[0].olderThan: expected a duration such as "30s": …, found 30`.
 */
export function parsePolicy(input: unknown): Parsed<Policy> {
  const result = v.safeParse(policySchema, input === INCIDENT ? INCIDENT_POLICY : input)
  if (result.success) return { ok: true, value: result.output }
  if (typeof input === 'string') {
    const form = `${result.issues[0].message}, or "${INCIDENT}"${hint(input, [INCIDENT])}`
    return { ok: false, problems: [`policy: ${form}, found ${brief(input)}`] }
  }
  const problems = result.issues.map((issue) => describe('policy', issue))
  return {
    ok: false,
    problems: problems.map((problem) =>
      problem === 'policy.rules: missing' ? `${problem}; ${RULES_MISSING}` : problem,
    ),
  }
}

/**
 * As `parsePolicy`, from JSON text or the name of a policy. Refuses a key that occurs twice in one object.
 */
export function parsePolicyText(text: string): Parsed<Policy> {
  // Editors on Windows begin a file with a byte order mark.
  const json = text.replace(/^\uFEFF/, '')
  if (json === INCIDENT) return parsePolicy(json)
  let input: unknown
  try {
    input = JSON.parse(json)
  } catch (error) {
    const near = /^\w{1,20}$/.test(json) ? hint(json, [INCIDENT]) : ''
    return {
      ok: false,
      problems: [
        `policy: expected JSON, or "${INCIDENT}"${near}: ${printable((error as Error).message)}`,
      ],
    }
  }
  const repeated = repeatedKeys(json)
  if (repeated.length > 0) {
    return { ok: false, problems: repeated.map((path) => `policy${describeRepeated(path)}`) }
  }
  return parsePolicy(input)
}
