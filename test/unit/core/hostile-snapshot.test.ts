import { BlockList, isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { embedded } from '../../../lambda/aws/metrics.ts'
import { foreignPattern } from '../../../lambda/core/foreign-pattern.ts'
import { dependsOnHolders, judge } from '../../../lambda/core/judge.ts'
import { globMatches, isClient, type Match } from '../../../lambda/core/match.ts'
import { distribution, measure } from '../../../lambda/core/measurements.ts'
import {
  type PolicyInput,
  parsePolicy,
  parsePolicyText,
  type Rule,
} from '../../../lambda/core/policy.ts'
import { makeReport } from '../../../lambda/core/report.ts'
import { RULE_STATES, type Session, type Snapshot } from '../../../lambda/core/session.ts'
import { printable, safeJson } from '../../../lambda/core/text.ts'
import type { ReapVerdict, Verdict } from '../../../lambda/core/verdict.ts'
import {
  expressionOf,
  hostileKey,
  hostileText,
  inTime,
  isHarmless,
  json,
} from '../../support/hostile.ts'
import { policy as parsed } from '../../support/session.ts'

const RUNS = { numRuns: 200 }
const JUDGED = { numRuns: 500 }

const names = [
  'shop_app',
  'shop_ro',
  'other',
  'slotkeeper',
  '',
  'a"b\'c\\d',
  '\u202eevil\0',
  '😀x',
  '\ud800',
  '$slotkeeper$',
]
const name = fc.oneof(fc.constantFrom(...names), hostileText)
/** A name with some of its characters replaced, so that it often matches. */
const glob = fc.oneof(
  fc.constantFrom('*', 'shop_*', '????_*', 'php'),
  fc
    .tuple(
      fc.constantFrom(...names.filter((known) => known !== '')),
      fc.array(fc.tuple(fc.nat(8), fc.constantFrom('*', '?', '**', '')), { maxLength: 3 }),
    )
    .map(([known, changes]) => {
      const characters = [...known]
      for (const [at, wildcard] of changes) characters[at % characters.length] = wildcard
      return characters.join('') || '*'
    })
    .filter((written) => foreignPattern(written) === undefined),
)

const clients = ['10.0.1.7', '10.0.9.200', '192.168.0.1', 'fd00::1', '2001:db8::5', 'local', 'x']
const networks = [
  '10.0.0.0/8',
  '10.0.9.0/24',
  '10.0.1.7/32',
  '0.0.0.0/0',
  'fd00::/8',
  '::/0',
  '2001:db8::4/126',
  'local',
]
const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 3 })
const oneField: fc.Arbitrary<Match> = fc.oneof(
  fc.record({ users: some(glob) }),
  fc.record({ databases: some(glob) }),
  fc.record({ applications: some(glob) }),
  fc.record({ clients: some(fc.constantFrom(...networks)) }),
)
const match = fc.oneof(
  { arbitrary: oneField, weight: 4 },
  fc.tuple(oneField, oneField).map(([one, other]) => ({ ...one, ...other })),
)

const SECONDS = { '0s': 0, '250ms': 0.25, '10s': 10, '1.5m': 90, '1h': 3600 }
const rule = fc
  .record(
    {
      state: fc.oneof(fc.constant('idle' as const), fc.constantFrom(...RULE_STATES)),
      olderThan: fc.constantFrom(...(Object.keys(SECONDS) as (keyof typeof SECONDS)[])),
      match,
      when: fc.oneof(
        fc.record({ idleOver: fc.nat(9) }),
        fc.record({ slotsUsedOver: fc.constantFrom('0%', '50%', '80.5%', '100%') }),
      ),
      cancel: fc.boolean(),
    },
    { requiredKeys: ['state', 'olderThan'] },
  )
  .map(({ cancel, ...rest }) =>
    cancel && rest.state === 'active' ? { ...rest, action: 'cancel' as const } : rest,
  )
const least = { rules: [{ name: 'a', state: 'idle', olderThan: '1m' }] }
type Written = Exclude<PolicyInput, string>
const policyInput: fc.Arbitrary<Written> = fc.record(
  {
    scope: match,
    protect: some(match),
    rules: some(rule).map((rules) =>
      rules.map((given, index) => ({ name: `r${index}`, ...given })),
    ),
    keep: fc.nat(3),
    budget: fc.integer({ min: 1, max: 4 }),
  },
  { requiredKeys: ['rules'] },
)

const pid = fc.oneof(fc.integer({ min: 4, max: 99 }), fc.integer({ min: 4, max: 2 ** 31 - 1 }))
const age = fc.oneof(
  { arbitrary: fc.constantFrom(-5, 0, 0.25, 9.999, 10, 89, 90, 299.9, 300, 3600, 1e9), weight: 3 },
  fc.double({ min: 0, max: 1e5, noNaN: true }),
)
const ordinary: fc.Arbitrary<Session> = fc.record({
  pid,
  user: fc.constantFrom('shop_app', 'shop_app', 'shop_ro'),
  database: fc.constant('shop'),
  application: fc.constantFrom('php', 'php', 'cron'),
  client: fc.constantFrom('10.0.1.7', '10.0.1.7', 'fd00::1'),
  state: fc.oneof(fc.constant('idle'), fc.constantFrom(...RULE_STATES)),
  backendStart: fc.constant('1700000000.000001'),
  stateChange: fc.constant('1700000000.000002'),
  ageSeconds: age,
  transactionSeconds: fc.constantFrom(null, 0, 90),
  superuser: fc.constant(false),
  owned: fc.boolean(),
  listening: fc.constant(false),
  advisoryLock: fc.constant(false),
  replicationSlot: fc.constant(false),
  backup: fc.constant(null),
})
/** What makes a session another one than it seems, a field or two at a time. */
const oddity: fc.Arbitrary<Partial<Session>> = fc.oneof(
  fc.record({ user: fc.oneof(fc.constantFrom(null, 'rds', 'rdsadmin', 'Rds', 'reaper'), name) }),
  fc.record({ database: fc.oneof(fc.constant(null), name) }),
  fc.record({ application: name }),
  fc.record({ client: fc.constantFrom(...clients) }),
  fc.record({ state: fc.oneof(fc.constantFrom(null, 'starting', 'disabled'), hostileText) }),
  fc.record({ ageSeconds: fc.constant(null), stateChange: fc.constant(null) }),
  fc.record({ superuser: fc.constantFrom(true, null) }),
  fc.record({ listening: fc.constant(true) }),
  fc.record({ advisoryLock: fc.constant(true) }),
  fc.record({ pid: fc.constantFrom(1, 2, 3) }),
  fc.record({
    user: fc.constantFrom('reaper', 'reaper_clone', 'rdsreaper', 'shop_app'),
    application: fc.constant('slotkeeper'),
    ageSeconds: fc.constantFrom(299.9, 300, 1e9),
    state: fc.constantFrom('idle', 'idle', 'active'),
  }),
)
const session = fc.oneof(
  ordinary,
  fc
    .tuple(ordinary, fc.array(oddity, { minLength: 1, maxLength: 2 }))
    .map(([plain, odd]): Session => Object.assign({}, plain, ...odd)),
)
const count = fc.oneof(fc.nat(40), fc.maxSafeNat())
const snapshot: fc.Arbitrary<Snapshot> = fc.record({
  serverVersion: fc.nat(),
  atMs: fc.nat(),
  ownPid: fc.constantFrom(1, 2, 3),
  ownUser: fc.constantFrom('reaper', 'reaper_clone', 'rdsreaper', 'shop_app'),
  maySignal: fc.boolean(),
  signaller: fc.constant({ isMember: true, inherits: true }),
  slots: fc.record({ max: count, reserved: fc.oneof(fc.nat(5), count) }),
  opened: count,
  sessions: fc.uniqueArray(session, { selector: (one) => one.pid, maxLength: 25, size: 'max' }),
})

function isIn(client: string, network: string): boolean {
  if (network === 'local' || client === 'local') return network === client
  const [address = '', bits] = network.split('/')
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(client) !== isIP(address)) return false
  const list = new BlockList()
  list.addSubnet(address, Number(bits), family)
  return list.check(client, family)
}

const hits = (globs: string[] | undefined, text: string | null) =>
  globs === undefined ||
  (text !== null && globs.some((written) => expressionOf(written).test(text)))

const meets = (given: Match | undefined, { user, database, application, client }: Session) =>
  hits(given?.users, user) &&
  hits(given?.databases, database) &&
  hits(given?.applications, application) &&
  (given?.clients === undefined || given.clients.some((network) => isIn(client, network)))

const isGuarded = ({ listening, advisoryLock }: Session) => listening || advisoryLock

const isSweeps = ({ user, application }: Session, { ownUser }: Snapshot) =>
  application === 'slotkeeper' &&
  [ownUser, `${ownUser}_clone`, ownUser.replace('_clone', '')].includes(user as string)

/** Who is safe from every rule: as docs/policy.md has it. */
function isSafe(one: Session, look: Snapshot, { protect = [] }: Written): boolean {
  return (
    isGuarded(one) ||
    one.superuser !== false ||
    one.user === null ||
    one.user.startsWith('rds') ||
    one.pid === look.ownPid ||
    protect.some((entry) => meets(entry, one))
  )
}

/** The rule that a session is to be reaped by, before `keep` and `budget`. */
function doomOf(one: Session, look: Snapshot, input: Written): string | undefined {
  if (isSafe(one, look, input)) return undefined
  if (isSweeps(one, look)) {
    return one.state === 'idle' && (one.ageSeconds ?? 0) >= 300 ? 'slotkeeper:orphan' : undefined
  }
  if (!meets(input.scope, one)) return undefined
  return input.rules?.find((given) => {
    const { state, olderThan } = given
    const limit = SECONDS[olderThan as keyof typeof SECONDS]
    const isOld = one.ageSeconds !== null && one.ageSeconds >= limit
    return one.state === state && isOld && meets(given.match, one) && isDue(given, look, input)
  })?.name
}

function isDue({ when }: { when?: object | undefined }, look: Snapshot, input: Written) {
  const { idleOver, slotsUsedOver } = (when ?? {}) as { idleOver?: number; slotsUsedOver?: string }
  const crowd = look.sessions.filter(
    (one) =>
      one.state === 'idle' &&
      meets(input.scope, one) &&
      !isSafe(one, look, input) &&
      !isSweeps(one, look),
  )
  const usable = look.slots.max - look.slots.reserved
  const share = usable > 0 ? Math.round((look.sessions.length / usable) * 1000) / 10 : 100
  return (
    (idleOver === undefined || crowd.length > idleOver) &&
    (slotsUsedOver === undefined || share > Number.parseFloat(slotsUsedOver))
  )
}

const reapsOf = (verdicts: Verdict[]) =>
  verdicts.filter((verdict): verdict is ReapVerdict => verdict.verdict === 'reap')
const rulesByPid = (verdicts: Verdict[]) =>
  new Map(reapsOf(verdicts).map(({ session: { pid }, rule }) => [pid, rule]))
const oldestFirst = (a: Session, b: Session) =>
  (b.ageSeconds ?? 0) - (a.ageSeconds ?? 0) || a.pid - b.pid

/** The idle sessions of each pool that were used last; those that serve nobody do not count. */
function youngestOfPools({ sessions }: Snapshot, keep: number): Set<Session> {
  const idle = sessions.filter((one) => one.state === 'idle' && !isGuarded(one))
  const pools = [...new Set(idle.map(poolOf))].map((pool) =>
    idle.filter((one) => poolOf(one) === pool),
  )
  return new Set(pools.flatMap((pool) => pool.sort(oldestFirst).reverse().slice(0, keep)))
}

const poolOf = ({ user, database, application, client }: Session) =>
  JSON.stringify([user, database, application, client])

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

describe('a policy', () => {
  test('of any JSON', () => {
    fc.assert(
      fc.property(json, (input) => checkParsed(parsePolicy(input))),
      RUNS,
    )
  })

  test('of any text', () => {
    fc.assert(
      fc.property(hostileText, (text) => checkParsed(parsePolicyText(text))),
      RUNS,
    )
  })

  test('that was valid once', () => {
    fc.assert(
      fc.property(policyInput, fc.array(change, { maxLength: 4 }), (input, changes) => {
        checkParsed(parsePolicyText(mutate(input, changes)))
      }),
      RUNS,
    )
  })

  test('with a key that it does not know, wherever it stands', () => {
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
  ])('nested thousands of levels deep: %s', (_, text) => {
    checkParsed(inTime(() => parsePolicyText(text)))
  })

  test('of a hundred thousand rules, or with a key of a million characters', () => {
    const rules = Array.from({ length: 100_000 }, (_, index) => ({
      name: `r${index}`,
      state: 'idle',
      olderThan: '1s',
    }))
    expect(inTime(() => parsePolicy({ rules })).ok).toBe(true)
    checkParsed(inTime(() => parsePolicy({ ['x'.repeat(1e6)]: 'y'.repeat(1e6) })))
  })

  test('can not write a rule of a built-in name', () => {
    const named = { name: 'slotkeeper:orphan', state: 'idle', olderThan: '1s' } as const
    expect(parsePolicy({ rules: [named] })).toMatchObject({
      problems: [expect.stringContaining('policy.rules[0].name: expected a name that does not')],
    })
  })
})

describe('a snapshot', () => {
  test('has exactly those reaped that the policy says, by the first rule that they meet', () => {
    fc.assert(
      fc.property(snapshot, policyInput, (look, { keep, budget, ...input }) => {
        const verdicts = judge(look, parsed(input))
        expect(verdicts.map((verdict) => verdict.session)).toEqual(look.sessions)
        const doomed = look.sessions.flatMap((one): [number, string][] => {
          const rule = doomOf(one, look, input)
          return rule === undefined ? [] : [[one.pid, rule]]
        })
        expect(rulesByPid(verdicts)).toEqual(new Map(doomed))
      }),
      JUDGED,
    )
  })

  test('has those live on that `keep` and `budget` leave', () => {
    fc.assert(
      fc.property(snapshot, policyInput, (look, input) => {
        const { keep = 0, budget = look.sessions.length } = input
        const reaps = reapsOf(judge(look, parsed(input)))
        for (const { session: one, rule, action } of reaps) {
          expect(isSafe(one, look, input)).toBe(false)
          const written = input.rules?.find((given) => given.name === rule)
          expect(action).toBe(written?.action ?? 'terminate')
        }
        const kept = youngestOfPools(look, keep)
        const doomed = look.sessions.filter((one) => {
          const rule = doomOf(one, look, input)
          return rule === 'slotkeeper:orphan' || (rule !== undefined && !kept.has(one))
        })
        const expected = doomed.sort(oldestFirst).slice(0, budget)
        expect(reaps.map(({ session: one }) => one).sort(oldestFirst)).toEqual(expected)
      }),
      JUDGED,
    )
  })

  test('is judged the same in whatever order it comes', () => {
    const shuffled = snapshot.chain((look) =>
      fc.tuple(
        fc.constant(look),
        fc.shuffledSubarray(look.sessions, { minLength: look.sessions.length }),
      ),
    )
    fc.assert(
      fc.property(shuffled, policyInput, ([look, sessions], input) => {
        // Where all of them are ended, no order can matter.
        const policy = parsed({ budget: 2, ...input })
        expect(rulesByPid(judge({ ...look, sessions }, policy))).toEqual(
          rulesByPid(judge(look, policy)),
        )
      }),
      JUDGED,
    )
  })

  test('is judged the same without a look at locks where no verdict hangs on them', () => {
    let spared = 0
    fc.assert(
      fc.property(snapshot, policyInput, (look, input) => {
        const sessions = look.sessions.map((one) => ({ ...one, advisoryLock: null }))
        const rules = parsed(input)
        const unasked = judge({ ...look, sessions }, rules)
        if (unasked.some((verdict) => dependsOnHolders(verdict, rules))) return
        const asked = judge(look, rules)
        const bare = (verdicts: Verdict[]) => verdicts.map(({ session, ...verdict }) => verdict)
        expect(bare(unasked)).toEqual(bare(asked))
        if (look.sessions.some(({ advisoryLock }) => advisoryLock)) spared += 1
      }),
      JUDGED,
    )
    expect(spared).toBeGreaterThan(0)
  })

  test('gives a reason for each verdict, a report and numbers that CloudWatch takes', () => {
    fc.assert(
      fc.property(snapshot, policyInput, (look, input) => {
        const verdicts = judge(look, parsed(input))
        for (const { why } of verdicts) expect(why).not.toBe('')
        const report = makeReport({
          target: 'shop',
          mode: 'observe',
          entry: 'client',
          at: '2026-01-01T00:00:00.000Z',
          durationMs: 1,
          snapshot: look,
          policy: parsed(input),
          verdicts,
          outcomes: [],
        })
        expect(JSON.parse(safeJson(report))).toEqual(JSON.parse(JSON.stringify(report)))
        for (const { values, counts } of measure(look, report, 'full', {
          policy: parsed(input),
          condemned: 0,
          newlyCondemned: 0,
        })) {
          expect(values.length).toBeGreaterThan(0)
          expect(values.length).toBeLessThanOrEqual(100)
          expect(counts.length).toBe(values.length)
          expect([...values, ...counts].every(Number.isFinite)).toBe(true)
        }
      }),
      JUDGED,
    )
  })
})

describe('a glob', () => {
  test('means what the regular expression means', () => {
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
  ])('of %s holds nothing up', (_, written) => {
    expect(inTime(() => globMatches(written, 'a'.repeat(65_536)))).toBe(false)
  })
})

test('a network is one that can be matched, or is refused', () => {
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

describe('a distribution', () => {
  const ages = fc.oneof(
    fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { maxLength: 300, size: 'max' }),
    fc.array(fc.nat(100_000), { maxLength: 1_000, size: 'max' }),
  )
  test('of whatever ages keeps their count and their sum', () => {
    fc.assert(
      fc.property(ages, (samples) => {
        const { values, counts } = distribution('IdleAge', 'Seconds', samples)
        const total = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0)
        expect(values.length).toBeLessThanOrEqual(100)
        expect(values.every(Number.isFinite)).toBe(true)
        expect(counts.every((given) => Number.isInteger(given) && given > 0)).toBe(true)
        expect(total(counts)).toBe(samples.length)
        const sum = total(values.map((value, index) => value * (counts[index] ?? 0)))
        // Each sample is rounded to a tenth at most.
        const tolerance = 0.05 * samples.length + 1e-9 * total(samples) + 1e-9
        expect(Math.abs(sum - total(samples))).toBeLessThanOrEqual(tolerance)
      }),
      { numRuns: 100 },
    )
  })
})

describe('what is written', () => {
  test('holds nothing that a terminal acts on, and reads back the same', () => {
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 3 },
        hostileText,
        json,
        fc.dictionary(hostileKey, tie('node'), { maxKeys: 4 }),
      ),
    })).node
    fc.assert(
      fc.property(tree, (value) => {
        const line = safeJson(value)
        expect(isHarmless(line)).toBe(true)
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      RUNS,
    )
  })

  test('as text, too, and leaves harmless text alone', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        expect(isHarmless(printable(text))).toBe(true)
        if (isHarmless(text)) expect(printable(text)).toBe(text)
      }),
      RUNS,
    )
  })

  test('in the embedded metric format declares each metric, whatever the target is called', () => {
    const measurement = fc.record({
      name: fc.constantFrom('IdleAge', 'SlotsUsed', 'SweepSucceeded'),
      unit: fc.constantFrom('Count' as const, 'Seconds' as const),
      values: fc.array(fc.nat(), { minLength: 1, maxLength: 100 }),
    })
    const measurements = fc
      .uniqueArray(measurement, { selector: (given) => given.name })
      .map((list) => list.map((given) => ({ ...given, counts: given.values.map(() => 1) })))
    fc.assert(
      fc.property(
        measurements,
        hostileText,
        hostileText,
        fc.nat(),
        (given, target, namespace, at) => {
          const destination = { via: 'emf', target, namespace } as const
          const line = JSON.parse(safeJson(embedded(given, destination, at)))
          expect(line.Target).toBe(target)
          const [directive] = line._aws.CloudWatchMetrics
          expect(line._aws.Timestamp).toBe(at)
          expect(directive).toMatchObject({ Namespace: namespace, Dimensions: [['Target']] })
          expect(directive.Metrics).toEqual(
            given.map(({ name, unit }) => ({ Name: name, Unit: unit })),
          )
          for (const { name, values } of given) expect([line[name]].flat()).toEqual(values)
        },
      ),
      RUNS,
    )
  })
})
