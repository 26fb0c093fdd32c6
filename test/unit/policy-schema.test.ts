import { readdirSync, readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { parsePolicy } from '../../lambda/core/policy.ts'
import { policySchema } from '../../scripts/policy-schema.ts'
import { fc } from '../support/seeded.ts'

const ajv = new Ajv({ keywords: ['errorMessage'], allErrors: true })
const validate = ajv.compile(policySchema())

const rule = { name: 'idle', state: 'idle', olderThan: '30s' }
const withRule = (different: object) => ({ rules: [{ ...rule, ...different }] })
const withUser = (user: unknown) => ({ rules: [rule], scope: { users: [user] } })
const withClient = (client: unknown) => ({ rules: [rule], protect: [{ clients: [client] }] })

const EXAMPLES = new URL('../../examples/policies/', import.meta.url)

describe('the schema takes each example', () => {
  test.each(readdirSync(EXAMPLES))('%s', (file) => {
    validate(JSON.parse(readFileSync(new URL(file, EXAMPLES), 'utf8')))
    expect(validate.errors).toBe(null)
  })
})

describe('the schema refuses what Slotkeeper refuses, at the same place', () => {
  test.each<[string, unknown, string]>([
    ['no rules', {}, ''],
    ['an empty list of rules', { rules: [] }, '/rules'],
    ['a list', [], ''],
    ['an unknown key', { rules: [rule], rulez: [] }, ''],
    ['an unknown key of a rule', withRule({ olderthan: '1s' }), '/rules/0'],
    ['an unknown key of a match', { rules: [rule], scope: { user: ['a'] } }, '/scope'],
    ['an unknown key of a protection', { rules: [rule], protect: [{ user: ['a'] }] }, '/protect/0'],
    ['an unknown key of when', withRule({ when: { idleOvr: 3 } }), '/rules/0/when'],
    ['a missing name', { rules: [{ state: 'idle', olderThan: '1s' }] }, '/rules/0'],
    ['an empty name', withRule({ name: '' }), '/rules/0/name'],
    ['the name of a built-in rule', withRule({ name: 'slotkeeper:x' }), '/rules/0/name'],
    ['a typo in the state', withRule({ state: 'idel' }), '/rules/0/state'],
    ['a duration without a unit', withRule({ olderThan: '30' }), '/rules/0/olderThan'],
    ['a duration as a number', withRule({ olderThan: 30 }), '/rules/0/olderThan'],
    ['a duration in days', withRule({ olderThan: '1d' }), '/rules/0/olderThan'],
    ['a negative duration', withRule({ olderThan: '-1s' }), '/rules/0/olderThan'],
    ['an empty condition', withRule({ when: {} }), '/rules/0/when'],
    ['a crowd of a fraction', withRule({ when: { idleOver: 1.5 } }), '/rules/0/when/idleOver'],
    [
      'a share without %',
      withRule({ when: { slotsUsedOver: '80' } }),
      '/rules/0/when/slotsUsedOver',
    ],
    [
      'a share over 100%',
      withRule({ when: { slotsUsedOver: '100.5%' } }),
      '/rules/0/when/slotsUsedOver',
    ],
    ['cancelling what computes nothing', withRule({ action: 'cancel' }), '/rules/0/state'],
    ['an unknown action', withRule({ action: 'kill' }), '/rules/0/action'],
    ['a negative keep', { rules: [rule], keep: -1 }, '/keep'],
    ['a budget of nothing', { rules: [rule], budget: 0 }, '/budget'],
    ['a budget as a text', { rules: [rule], budget: '5' }, '/budget'],
    ['no protection', { rules: [rule], protect: [] }, '/protect'],
    ['a protection of everybody', { rules: [rule], protect: [{}] }, '/protect/0'],
    ['no name to match', { rules: [rule], scope: { users: [] } }, '/scope/users'],
    ['an empty name to match', withUser(''), '/scope/users/0'],
    ['a pattern of LIKE', withUser('shop_%'), '/scope/users/0'],
    ['a regular expression', withUser('^shop_.*$'), '/scope/users/0'],
    ['a name that is too long', withUser('a'.repeat(64)), '/scope/users/0'],
    ['an address for a network', withClient('10.0.9.7'), '/protect/0/clients/0'],
    ['a network of too many bits', withClient('10.0.9.0/33'), '/protect/0/clients/0'],
    ['an IPv6 network of too many bits', withClient('fd00::/129'), '/protect/0/clients/0'],
    ['a short address', withClient('10.1/16'), '/protect/0/clients/0'],
    ['an octal address', withClient('010.1.0.0/16'), '/protect/0/clients/0'],
    ['IPv4 written as IPv6', withClient('::ffff:10.0.9.0/120'), '/protect/0/clients/0'],
    ['a host name', withClient('localhost'), '/protect/0/clients/0'],
    ['where the schema is, as a number', { $schema: 7, rules: [rule] }, '/$schema'],
    ['a comment that is no text', { $comment: ['a'], rules: [rule] }, '/$comment'],
    ["a rule's comment that is none", { rules: [{ ...rule, $comment: 1 }] }, '/rules/0/$comment'],
  ])('%s', (_, input, path) => {
    expect(parsePolicy(input)).toMatchObject({ ok: false })
    expect(validate(input)).toBe(false)
    expect(validate.errors?.map(({ instancePath }) => instancePath)).toContain(path)
  })
})

test.each([
  ['names that are long in bytes alone', withUser('é'.repeat(40))],
  ['two rules of one name', { rules: [rule, { ...rule, olderThan: '1s' }] }],
  ['an IPv6 address that is none', withClient('fd00:::/8')],
])('what JSON Schema cannot say, Slotkeeper alone refuses: %s', (_, input) => {
  expect(validate(input)).toBe(true)
  expect(parsePolicy(input)).toMatchObject({ ok: false })
})

describe('the schema refuses nothing that Slotkeeper takes', () => {
  const refusesNoneOf = (texts: fc.Arbitrary<string>, write: (text: string) => unknown) =>
    fc.assert(
      fc.property(texts, (text) => {
        const input = write(text)
        expect(validate(input) || !parsePolicy(input).ok).toBe(true)
      }),
      { numRuns: 2_000 },
    )

  test('names', () => {
    refusesNoneOf(fc.string({ unit: 'grapheme', maxLength: 70 }), withUser)
    refusesNoneOf(fc.stringMatching(/^[a-z%_.*+?^$()[\]{}|\\-]{1,70}$/), withUser)
    const long = fc.stringMatching(/^[a*é𝄞]{55,70}$/u)
    refusesNoneOf(long, withUser)
  })

  test('networks', () => {
    const bits = fc.integer({ min: 0, max: 130 })
    const network = fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), bits)
    refusesNoneOf(
      network.map(([address, bits]) => `${address}/${bits}`),
      withClient,
    )
    refusesNoneOf(fc.stringMatching(/^::ffff:[\da-f:.]{1,12}\/\d{1,3}$/), withClient)
    for (const client of [
      'local',
      '::/0',
      '0.0.0.0/0',
      'FD00::/8',
      '::ffff:1:2:3/64',
      '::ffff:0:1.2.3.4/96',
    ]) {
      expect(parsePolicy(withClient(client)).ok).toBe(true)
      expect(validate(withClient(client))).toBe(true)
    }
  })

  test('durations and shares', () => {
    const number = fc.stringMatching(/^\d{1,10}(\.\d{1,10})?$/)
    const unit = fc.constantFrom('ms', 's', 'm', 'h', 'd', '')
    refusesNoneOf(
      fc.tuple(number, unit).map((parts) => parts.join('')),
      (olderThan) => withRule({ olderThan }),
    )
    refusesNoneOf(fc.stringMatching(/^[01]?\d{1,3}(\.\d{1,4})?%?$/), (slotsUsedOver) =>
      withRule({ when: { slotsUsedOver } }),
    )
  })
})

test('each property and each form has a description, which an editor shows', () => {
  const { $defs = {}, ...root } = policySchema()
  type Described = { description?: string; properties?: Record<string, Described> }
  const all = [root, ...Object.values($defs)] as Described[]
  const properties = all.flatMap(({ properties }) => Object.entries(properties ?? {}))
  expect(properties.map(([name]) => name)).toContain('slotsUsedOver')
  expect(properties.filter(([, { description }]) => !description)).toEqual([])
  expect($defs.Glob).toMatchObject({ description: expect.stringContaining('63 bytes') })
})

test('a policy that names its schema is the same policy', () => {
  expect(parsePolicy({ $schema: './policy.schema.json', rules: [rule] })).toEqual(
    parsePolicy({ rules: [rule] }),
  )
})

test('a policy with comments is the same policy', () => {
  const commented = { $comment: 'why', rules: [{ ...rule, $comment: 'the longest gap' }] }
  expect(validate(commented)).toBe(true)
  expect(parsePolicy(commented)).toEqual(parsePolicy({ rules: [rule] }))
})
