import { describe, expect, test } from 'vitest'
import { judge } from '../../../lambda/core/judge.ts'
import { globMatches, isClient } from '../../../lambda/core/match.ts'
import {
  type PolicyInput,
  parsePolicy,
  parsePolicyText,
  type Rule,
} from '../../../lambda/core/policy.ts'
import { RULE_STATES, type Snapshot } from '../../../lambda/core/session.ts'
import { glob, least, name, policyInput, RUNS, session } from '../../support/arbitrary.ts'
import {
  expressionOf,
  hostileKey,
  hostileText,
  inTime,
  isHarmless,
  json,
} from '../../support/hostile.ts'
import { fc } from '../../support/seeded.ts'

/** A policy is whole, or each problem says in one harmless line where it is. */
function checkParsed(result: ReturnType<typeof parsePolicy>): void {
  if (result.ok) {
    const { rules, keep, budget } = result.value
    for (const { name, state, olderThan, action } of rules as Rule[]) {
      expect(name).not.toBe('')
      expect(RULE_STATES).toContain(state)
      expect(olderThan).toBeGreaterThanOrEqual(0)
      expect(action === 'terminate' || state === 'active').toBe(true)
    }
    expect(new Set(rules.map(({ name }) => name)).size).toBe(rules.length)
    expect(rules.length).toBeGreaterThan(0)
    expect(Number.isSafeInteger(keep) && keep >= 0).toBe(true)
    expect(budget === undefined || (Number.isSafeInteger(budget) && budget > 0)).toBe(true)
    return
  }
  expect(result.problems.length).toBeGreaterThan(0)
  for (const problem of result.problems) {
    expect(problem).toMatch(/^policy(\.|\[|: )/)
    expect(isHarmless(problem)).toBe(true)
    expect(problem.length).toBeLessThan(700)
  }
}

/** A value and all the objects and lists within it. */
function holdersIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return []
  return [value, ...Object.values(value).flatMap(holdersIn)]
}

/** As JSON.parse does it: `__proto__` is a key as any other. */
function put(holder: object, key: string, value: unknown): void {
  Object.defineProperty(holder, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  })
}

type Change = {
  at: number
  how: 'drop' | 'rename' | 'replace' | 'add'
  key: string
  value: unknown
}
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  how: fc.constantFrom('drop', 'rename', 'replace', 'add'),
  key: hostileKey,
  value: fc.oneof(json, fc.constantFrom(1e308, -1, 2 ** 53, 0.5, 'x'.repeat(10_000))),
})

/** The policy as JSON after each change to some key of some object or list in it. */
function mutate(input: PolicyInput, changes: Change[]): string {
  const mutated = structuredClone(input)
  for (const { at, how, key, value } of changes) {
    const holders = holdersIn(mutated)
    const holder = holders[at % holders.length] as Record<string, unknown>
    const keys = Object.keys(holder)
    const old = keys[at % keys.length] ?? key
    if (how === 'rename') put(holder, key, holder[old])
    if (how === 'drop' || how === 'rename') delete holder[old]
    if (how === 'replace') put(holder, old, value)
    if (how === 'add') put(holder, key, value)
  }
  return JSON.stringify(mutated)
}

describe('a policy is parsed or refused with harmless problems', () => {
  test('when it is any JSON', () => {
    fc.assert(
      fc.property(json, (input) => checkParsed(parsePolicy(input))),
      RUNS,
    )
  })

  test('when it is any text', () => {
    fc.assert(
      fc.property(hostileText, (text) => checkParsed(parsePolicyText(text))),
      RUNS,
    )
  })

  test('when it is a mutated valid policy', () => {
    fc.assert(
      fc.property(policyInput, fc.array(change, { maxLength: 4 }), (input, changes) => {
        checkParsed(parsePolicyText(mutate(input, changes)))
      }),
      RUNS,
    )
  })

  test('when any of its objects has an unknown key', () => {
    fc.assert(
      fc.property(policyInput, fc.nat(), hostileKey, (input, at, key) => {
        const mutated = structuredClone(input)
        const objects = holdersIn(mutated).filter((holder) => !Array.isArray(holder))
        put(objects[at % objects.length] as object, key, null)
        const result = parsePolicy(mutated)
        checkParsed(result)
        expect(result.ok).toBe(false)
      }),
      RUNS,
    )
  })

  test.each<[string, string]>([
    ['lists', `${'['.repeat(10_000)}${']'.repeat(10_000)}`],
    ['lists where a scope is expected', `{"scope": ${'['.repeat(1e5)}${']'.repeat(1e5)}}`],
    ['objects', `${'{"scope":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
    ['lists without an end', '['.repeat(10_000)],
  ])('when it is nested thousands of levels deep: %s', (_, text) => {
    checkParsed(inTime(() => parsePolicyText(text)))
  })

  test('when it has 100,000 rules or a key of a million characters', () => {
    const rules = Array.from({ length: 100_000 }, (_, index) => ({
      name: `r${index}`,
      state: 'idle',
      olderThan: '1s',
    }))
    expect(inTime(() => parsePolicy({ rules })).ok).toBe(true)
    checkParsed(inTime(() => parsePolicy({ ['x'.repeat(1e6)]: 'y'.repeat(1e6) })))
  })

  test('when a rule has a built-in name', () => {
    const named = { name: 'slotkeeper:orphan', state: 'idle', olderThan: '1s' } as const
    expect(parsePolicy({ rules: [named] })).toMatchObject({
      problems: [expect.stringContaining('policy.rules[0].name: expected a name that does not')],
    })
  })
})

describe('a glob', () => {
  test('matches like the equivalent regular expression', () => {
    const wild = fc.string({
      unit: fc.oneof(fc.constantFrom('*', '?', 'a', 'b', '😀', '\ud83d', '\ude00'), hostileText),
      maxLength: 8,
    })
    const text = fc.string({
      unit: fc.oneof(fc.constantFrom('a', 'b', '😀', '\ud83d'), hostileText),
      maxLength: 8,
    })
    fc.assert(
      fc.property(fc.oneof(wild, glob), fc.oneof(text, name), (written, found) => {
        expect(globMatches(written, found)).toBe(expressionOf(written).test(found))
      }),
      { numRuns: 2_000, examples: [['?', '😀']] },
    )
  })

  test.each<[string, string]>([
    ['hundreds of stars', `${'*a'.repeat(500)}*b`],
    ['a long tail', `*${'a'.repeat(100)}b`],
    ['nothing but stars', `${'*'.repeat(100_000)}b`],
  ])('of %s is matched in linear time', (_, written) => {
    expect(inTime(() => globMatches(written, 'a'.repeat(65_536)))).toBe(false)
  })
})

test('a network is refused or can be matched', () => {
  const part = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', 'ff', '::', '%', '-1', '08'))
  const network = fc.oneof(
    fc
      .tuple(fc.array(part, { maxLength: 6 }), fc.constantFrom('.', ':'), part, fc.boolean())
      .map(([parts, separator, bits, sized]) => parts.join(separator) + (sized ? `/${bits}` : '')),
    hostileText,
    fc.ipV4Extended(),
    fc.tuple(fc.ipV6(), fc.nat(130)).map(([address, bits]) => `${address}/${bits}`),
  )
  fc.assert(
    fc.property(network, session, (written, one) => {
      const result = parsePolicy({ ...least, protect: [{ clients: [written] }] })
      expect(result.ok).toBe(isClient(written))
      const look = { ownPid: 1, ownUser: 'reaper', slots: { max: 9, reserved: 0 }, sessions: [one] }
      if (result.ok) expect(judge(look as Snapshot & typeof look, result.value)).toHaveLength(1)
    }),
    { numRuns: 1_000 },
  )
})
