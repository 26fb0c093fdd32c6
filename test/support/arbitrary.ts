import { foreignPattern } from '../../lambda/core/foreign-pattern.ts'
import type { Match } from '../../lambda/core/match.ts'
import type { PolicyInput } from '../../lambda/core/policy.ts'
import { RULE_STATES, type Session, type Snapshot } from '../../lambda/core/session.ts'
import { hostileText } from './hostile.ts'
import { fc } from './seeded.ts'

export const RUNS = { numRuns: 200 }
export const JUDGED = { numRuns: 500 }

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
export const name = fc.oneof(fc.constantFrom(...names), hostileText)
/** PostgreSQL replaces every other character of an application's name. */
const isPrintable = (text: string) => /^[ -~]*$/.test(text)
/** A name with some of its characters replaced, so that it often matches. */
export const glob = fc.oneof(
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

export const clients = [
  '10.0.1.7',
  '10.0.9.200',
  '192.168.0.1',
  'fd00::1',
  '2001:db8::5',
  'local',
  'x',
]
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
export const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 3 })
const oneField: fc.Arbitrary<Match> = fc.oneof(
  fc.record({ users: some(glob) }),
  fc.record({ databases: some(glob) }),
  fc.record({ applications: some(glob) }),
  fc.record({ clients: some(fc.constantFrom(...networks)) }),
)
export const match = fc.oneof(
  { arbitrary: oneField, weight: 4 },
  fc.tuple(oneField, oneField).map(([one, other]) => ({ ...one, ...other })),
)

export const SECONDS = { '0s': 0, '250ms': 0.25, '10s': 10, '1.5m': 90, '1h': 3600 }
export const rule = fc
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
export const least = { rules: [{ name: 'a', state: 'idle', olderThan: '1m' }] }
export type Written = Exclude<PolicyInput, string>
export const policyInput: fc.Arbitrary<Written> = fc.record(
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

export const pid = fc.oneof(
  fc.integer({ min: 4, max: 99 }),
  fc.integer({ min: 4, max: 2 ** 31 - 1 }),
)
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
  fc.record({ application: name.filter(isPrintable) }),
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
export const session = fc.oneof(
  ordinary,
  fc
    .tuple(ordinary, fc.array(oddity, { minLength: 1, maxLength: 2 }))
    .map(([plain, odd]): Session => Object.assign({}, plain, ...odd)),
)
export const count = fc.oneof(fc.nat(40), fc.maxSafeNat())
export const snapshot: fc.Arbitrary<Snapshot> = fc.record({
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
