// Makes the JSON Schema of a policy from the schema that Slotkeeper itself reads policies by. The descriptions are
// the ones that the construct's declarations have, and the checks' own messages.

import { readFileSync } from 'node:fs'
import { type JsonSchema, toJsonSchema } from '@valibot/to-json-schema'
import { SIGNS } from '../lambda/core/foreign-pattern.ts'
import { MOST_NAME_BYTES } from '../lambda/core/names.ts'
import { POLICY_PARTS } from '../lambda/core/policy.ts'

const { writtenPolicy, match, rule, condition, glob, client, checks } = POLICY_PARTS

/** By the names that the declarations have for them. */
const DEFINITIONS = {
  PolicyMatch: match.getter(undefined),
  PolicyRule: rule,
  PolicyCondition: condition,
  Glob: glob,
  Network: client,
}

const OCTET = /(?!0\d)(?:25[0-5]|2[0-4]\d|1?\d?\d)/.source
const IPV4 = `(?:${OCTET}\\.){3}${OCTET}/0*(?:3[0-2]|[12]?\\d)`
const IPV4_AS_IPV6 = /::ffff:(?:\d+\.[\d.]+|[\dA-Fa-f]*:[\dA-Fa-f]*)\//.source
/** Of the address the characters alone: its whole form is a page long. */
const IPV6 = /(?=[^/]*:[^/]*:)[\dA-Fa-f:.]+(?:%[\dA-Za-z]+)?\/0*(?:12[0-8]|1[01]\d|[1-9]?\d)/.source

/**
 * The checks that the library cannot convert, as near as JSON Schema can say them. What it cannot say is in
 * the description. No form refuses what the check accepts.
 */
const FORMS = new Map<unknown, JsonSchema>([
  [
    checks.noForeignPattern,
    {
      not: { anyOf: SIGNS.map(({ form }) => ({ pattern: form.source })) },
      description:
        'expected no pattern of SQL and no regular expression: "*" is any run of characters, "?" exactly one',
    },
  ],
  // Characters: JSON Schema does not count bytes, and a character has at least one.
  [checks.fitsName, { pattern: `^\\**(?:[^*]\\**){0,${MOST_NAME_BYTES}}$` }],
  [checks.isNetwork, { pattern: `^(?:local|${IPV4}|(?!${IPV4_AS_IPV6})${IPV6})$` }],
  [checks.isCondition, { minProperties: 1 }],
  [
    checks.cancelsQueries,
    {
      if: { properties: { action: { const: 'cancel' } }, required: ['action'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { properties: { state: { const: 'active' } } },
    },
  ],
  [checks.oneNameEach, { description: 'expected a name of its own for each rule' }],
])

/** Where the construct's declarations say what each key means. */
const DECLARATIONS = new URL('../infra/policy.ts', import.meta.url)

/**
 * The JSON Schema of a policy file, draft 7.
 * @throws Error if the policy has a check that JSON Schema can't express, or a key without a description
 */
export function policySchema(): JsonSchema {
  const { $defs = {}, ...root } = toJsonSchema(writtenPolicy.getter(undefined), {
    typeMode: 'input',
    definitions: DEFINITIONS,
    overrideSchema: ({ valibotSchema, jsonSchema, definitions }) => {
      const [, unnamed] = /\/(\d+)$/.exec(jsonSchema.$ref ?? '') ?? []
      return valibotSchema.type === 'lazy' && unnamed ? { ...definitions[unnamed] } : undefined
    },
    overrideAction: ({ valibotAction, jsonSchema, errors }) => {
      const form = FORMS.get(valibotAction)
      // Without a form the library's own error is thrown.
      if (form === undefined && errors) return undefined
      const { description = messageOf(valibotAction), ...keywords } = form ?? {}
      return describe({ ...besideReference(jsonSchema), ...keywords }, description)
    },
  })
  const declarations = readFileSync(DECLARATIONS, 'utf8')
  const named = Object.keys(DEFINITIONS).map((name) => {
    return [name, documented($defs[name] as JsonSchema, name, declarations)]
  })
  return {
    title: 'A policy of Slotkeeper',
    ...documented(root, 'PolicyInput', declarations),
    $defs: Object.fromEntries(named),
  }
}

/** Draft 7 ignores every keyword beside a reference. Here a reference is always to an object. */
function besideReference({ $ref, ...others }: JsonSchema): JsonSchema {
  return $ref === undefined ? others : { type: 'object', allOf: [{ $ref }], ...others }
}

function messageOf(check: object): string | undefined {
  const { message } = check as { message?: unknown }
  return typeof message === 'string' ? message : undefined
}

/** Adds what a check says of a wrong value. VS Code shows `errorMessage` in place of a pattern. */
function describe(schema: JsonSchema, message: string | undefined): JsonSchema {
  if (message === undefined) return schema
  const sentence = `${message[0]?.toUpperCase()}${message.slice(1)}.`
  const description = joined(schema.description, sentence)
  const errorMessage = schema.type === 'string' ? { errorMessage: description } : {}
  return { ...schema, description, ...errorMessage }
}

function joined(earlier: string | undefined, sentence: string): string {
  if (earlier === undefined) return sentence
  return earlier.includes(sentence) ? earlier : `${earlier} ${sentence}`
}

/** Gives each property a description: first the text of its declaration, then the text of its check. */
function documented(schema: JsonSchema, name: string, declarations: string): JsonSchema {
  if (schema.properties === undefined) return schema
  const [, body = ''] = new RegExp(`interface ${name} {\n(.*?)\n}`, 's').exec(declarations) ?? []
  const properties = Object.entries(schema.properties).map(([key, property]) => {
    const comment = body.split(`readonly ${key}`)[0]?.split('/**').at(-1) ?? ''
    const [text = ''] = comment.replace(/^\s*\*\/?/gm, '').split(/^ ?@/m)
    const words = text.trim().replace(/\s+/g, ' ')
    if (!body.includes(`readonly ${key}`) || words === '') {
      throw new Error(`infra/policy.ts: ${name}.${key} has no description`)
    }
    const { description } = property as JsonSchema
    return [key, { ...(property as JsonSchema), description: joined(words, description ?? words) }]
  })
  return { ...schema, properties: Object.fromEntries(properties) }
}
