import { readFileSync } from 'node:fs'
import { App, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PolicyInput } from '../../infra/index.ts'
import { SessionReaper } from '../../infra/index.ts'
import type { Mode } from '../../lambda/core/report.ts'
import { startAws } from '../../stand-ins/aws.ts'
import type { Lambda } from '../../stand-ins/lambda.ts'
import {
  type AlarmProperties,
  type AlarmState,
  type Minute,
  replay,
} from '../support/cloudwatch.ts'
import { SECRET, secretOf, startFunction } from '../support/function.ts'
import { record, together } from '../support/recording.ts'
import { REAPER_ROLES, type Role, testServer, until } from '../support/server.ts'

// What the built function publishes is recorded once for each state of server and function, laid out
// over minutes, and replayed through the alarms of a synthesized template.

/** Of a transaction, s: nobody waits here for the quarter of an hour that is the default. */
const OLD_S = 1
/** With room for a leak that sets off `Leak`. */
const SLOTS = 60

const db = await testServer({
  max_connections: String(SLOTS),
  superuser_reserved_connections: '2',
})
const aws = await startAws({})
afterAll(() => aws.close())
const reaper = await db.role('reaper', REAPER_ROLES)
const replicator = await db.role('replicator', REAPER_ROLES, 'replication')
const powerless = await db.role('powerless', ['pg_monitor'])
const app = await db.role('shop_app')
const stranger = await db.role('crm_app')

const old: PolicyInput = {
  scope: { users: ['shop_*'] },
  protect: [{ applications: ['pg_dump'] }],
  rules: [{ name: 'old', state: 'idle', olderThan: '1h' }],
}
const atOnce: PolicyInput = { ...old, rules: [{ name: 'now', state: 'idle', olderThan: '0s' }] }

type Order = { mode?: Mode; policy?: PolicyInput; role?: Role; environment?: object }

/** What one function publishes in its sweeps; `between` is what happens before each. */
async function recorded(
  { mode = 'reap', policy = old, role = reaper, environment }: Order,
  between: (() => Promise<unknown>)[] = [async () => undefined],
): Promise<Minute[]> {
  aws.secrets.set(SECRET, secretOf(db.server, role))
  const lambda: Lambda = await startFunction(aws.url, {
    SLOTKEEPER_MODE: mode,
    SLOTKEEPER_POLICY: JSON.stringify(policy),
    ...environment,
  })
  try {
    const minutes: Minute[] = []
    for (const happens of between) {
      await happens()
      minutes.push(await record(lambda, aws))
    }
    return minutes
  } finally {
    await lambda.stop()
    await emptied()
  }
}

/** The server ends a session a moment after its client. */
async function emptied(): Promise<void> {
  await db.endAll()
  await until(async () => {
    const { rowCount } = await db.admin.query(
      "select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
    )
    return rowCount === 0
  })
}

const opens =
  (count: number, application = 'php') =>
  () =>
    Promise.all(Array.from({ length: count }, () => db.open(app, application)))

/** Opens a transaction and waits until it is an old one. */
const lets = (role: Role | undefined, application: string) => async () => {
  const { pid } = await db.open(role, application, 'begin', 'select 1')
  await until(async () => {
    const { rows } = await db.admin.query(
      'select extract(epoch from now() - xact_start) as age from pg_stat_activity where pid = $1',
      [pid],
    )
    return Number(rows[0]?.age) > OLD_S
  })
}
const nothing = async () => undefined
const fills = () => db.fill(app)

const state = {} as Record<
  | 'quiet'
  | 'quietObserved'
  | 'nearlyFull'
  | 'fullKept'
  | 'fullBehind'
  | 'lockedOut'
  | 'failing'
  | 'unstarted'
  | 'lost'
  | 'leak'
  | 'leakObserved'
  | 'poolObserved'
  | 'dump'
  | 'openTransaction'
  | 'superuser'
  | 'outOfScope'
  | 'refused'
  | 'refusable',
  Minute
>

beforeAll(async () => {
  const last = (minutes: Minute[]) => minutes.at(-1) as Minute
  const sweep = async (order: Order, ...between: (() => Promise<unknown>)[]) =>
    last(await recorded(order, between.length > 0 ? between : [nothing]))

  state.quiet = await sweep({}, opens(5), nothing)
  state.quietObserved = await sweep({ mode: 'observe' }, opens(5), nothing)
  state.nearlyFull = await sweep({}, opens(50))
  state.fullKept = await sweep({}, nothing, fills)
  state.fullBehind = await sweep({ role: replicator }, fills)
  state.lockedOut = await sweep({}, fills)
  state.failing = await sweep({ role: { ...reaper, password: 'another' } })
  state.unstarted = await sweep({ environment: { SLOTKEEPER_POLICY: '{' } })
  state.lost = await sweep({ environment: { AWS_ENDPOINT_URL_CLOUDWATCH: 'http://127.0.0.1:1' } })
  state.leak = await sweep({ policy: atOnce }, opens(25))
  const observed = { mode: 'observe', policy: atOnce } as const
  state.leakObserved = await sweep(observed, nothing, opens(25))
  state.poolObserved = await sweep(observed, opens(25), nothing)
  state.dump = await sweep({}, lets(app, 'pg_dump'))
  state.openTransaction = await sweep({}, lets(app, 'php'))
  state.superuser = await sweep({}, lets(undefined, 'psql'))
  state.outOfScope = await sweep({}, lets(stranger, 'php'))
  state.refused = await sweep({ policy: atOnce, role: powerless }, opens(2))
  state.refusable = await sweep({ mode: 'observe', policy: atOnce, role: powerless }, opens(2))
}, 120_000)

/** The alarms of a deployment, by their names. */
function alarmsOf(mode: Mode): Record<string, AlarmProperties> {
  const stack = new Stack(new App(), 'Test', { env: { account: '1', region: 'eu-central-1' } })
  new SessionReaper(stack, 'Shop', {
    target: 'shop',
    database: { host: 'shop.abc.eu-central-1.rds.amazonaws.com' },
    auth: { secret: Secret.fromSecretNameV2(stack, 'Secret', 'reaper') },
    policy: old,
    mode,
    alarms: { OldTransaction: { threshold: OLD_S } },
  })
  return Object.fromEntries(
    Object.entries(Template.fromStack(stack).findResources('AWS::CloudWatch::Alarm')).map(
      ([id, { Properties }]) => [id.replace(/^ShopAlarms|[0-9A-F]{8}$/g, ''), Properties],
    ),
  )
}
const alarms = { reap: alarmsOf('reap'), observe: alarmsOf('observe') }

const forMinutes = (count: number, minute: Minute): Minute[] => Array(count).fill(minute)
const none: Minute = {}

/** Which alarms go off, each with the minutes at which it does. */
function paged(mode: Mode, minutes: Minute[], beyond: number, late: number) {
  const went = Object.entries(alarms[mode]).map(([name, alarm]): [string, number[]] => {
    const states: AlarmState[] = ['INSUFFICIENT_DATA', ...replay(alarm, minutes, { beyond, late })]
    const changes = states.flatMap((now, at) =>
      now === 'ALARM' && states[at - 1] !== 'ALARM' ? [at] : [],
    )
    return [name, changes]
  })
  return Object.fromEntries(went.filter(([, changes]) => changes.length > 0))
}

type Row = [scenario: string, mode: Mode, minutes: () => Minute[], pages: Record<string, number>]

/** Each alarm that goes off does so once, at this minute of the scenario or the next one. */
const scenarios: Row[] = [
  ['healthy', 'reap', () => forMinutes(60, state.quiet), {}],
  ['healthy, observed', 'observe', () => forMinutes(60, state.quietObserved), {}],
  ['first deployment', 'reap', () => [...forMinutes(4, none), ...forMinutes(30, state.quiet)], {}],
  [
    'first deployment, whose sweeps fail',
    'reap',
    () => [...forMinutes(4, none), ...forMinutes(30, state.failing)],
    { Silent: 10 },
  ],
  [
    'first deployment, whose function does not start',
    'reap',
    () => [...forMinutes(4, none), ...forMinutes(30, state.unstarted)],
    { Silent: 10 },
  ],
  [
    'first deployment, without a way to CloudWatch',
    'reap',
    () => [...forMinutes(4, none), ...forMinutes(30, state.lost)],
    { Silent: 10 },
  ],
  [
    'jitter: a minute without a sweep, the next with two',
    'reap',
    () =>
      Array.from({ length: 12 }, () => [
        ...forMinutes(4, state.quiet),
        none,
        together(state.quiet, state.quiet),
      ]).flat(),
    {},
  ],
  [
    'a failover: two sweeps fail',
    'reap',
    () => [
      ...forMinutes(10, state.quiet),
      ...forMinutes(2, state.failing),
      ...forMinutes(20, state.quiet),
    ],
    {},
  ],
  [
    'every 20 s, and one of three fails',
    'reap',
    () => forMinutes(30, together(state.quiet, state.failing, state.quiet)),
    {},
  ],
  [
    'nearly full',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.nearlyFull)],
    { SlotsUsed: 13 },
  ],
  [
    'full, swept over a kept connection',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.fullKept)],
    { Exhausted: 11, SlotsUsed: 13 },
  ],
  [
    "full, swept through a walsender's slot",
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.fullBehind)],
    { Exhausted: 11, SlotsUsed: 13 },
  ],
  [
    'full, and no sweep gets in',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.lockedOut)],
    { Exhausted: 11, Silent: 14 },
  ],
  [
    'sweeps fail',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.failing)],
    { Silent: 14 },
  ],
  [
    'metrics are lost',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.lost)],
    { Silent: 14 },
  ],
  [
    'no sweep any more: stopped, throttled, or its rule is gone',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(60, none)],
    { Silent: 14 },
  ],
  ['a leak', 'reap', () => forMinutes(30, state.leak), { Leak: 15 }],
  ['a leak, observed', 'observe', () => forMinutes(30, state.leakObserved), { Leak: 15 }],
  [
    'a large pool that stays, observed',
    'observe',
    () => [state.leakObserved, ...forMinutes(30, state.poolObserved)],
    {},
  ],
  ['a long pg_dump that the policy protects', 'reap', () => forMinutes(30, state.dump), {}],
  [
    "an application's transaction left open",
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.openTransaction)],
    { OldTransaction: 11 },
  ],
  ["a superuser's long transaction", 'reap', () => forMinutes(30, state.superuser), {}],
  ['a long transaction out of scope', 'reap', () => forMinutes(30, state.outOfScope), {}],
  ['reaps are refused', 'reap', () => forMinutes(30, state.refused), { Refused: 3 }],
  [
    'reaps would be refused, observed',
    'observe',
    () => forMinutes(30, state.refusable),
    { Refused: 3 },
  ],
]

/** What CloudWatch may ask for beyond the evaluation periods, and how late its data may be. */
const conditions = [1, 2, 4].flatMap((beyond) => [0, 1].map((late) => ({ beyond, late })))

describe.each(conditions)('with $beyond more data points, $late minutes late', (given) => {
  test.each(scenarios)('%s (%s)', (_, mode, minutes, pages) => {
    const went = paged(mode, minutes(), given.beyond, given.late)
    expect(Object.keys(went).sort()).toEqual(Object.keys(pages).sort())
    for (const [name, at] of Object.entries(pages)) {
      expect(went[name], name).toHaveLength(1)
      expect(went[name]?.[0], name).toBeGreaterThanOrEqual(at - given.late)
      expect(went[name]?.[0], name).toBeLessThanOrEqual(at + given.late)
    }
  })
})

test('docs/operations.md says the same', () => {
  const documented = readFileSync('docs/operations.md', 'utf8')
  for (const [scenario, , , pages] of scenarios) {
    const names = Object.keys(pages).map((name) => `\`${name}\``)
    expect(documented).toContain(`| ${scenario} | ${names.join(', ') || 'none'} |`)
  }
})

describe('an alarm that went off', () => {
  const lastStates = (mode: Mode, minutes: Minute[]) =>
    Object.fromEntries(
      Object.entries(alarms[mode]).map(([name, alarm]) => [
        name,
        replay(alarm, minutes, { beyond: 2, late: 1 }).at(-1),
      ]),
    )

  test.each<[string, keyof typeof state]>([
    ['Silent', 'failing'],
    ['Exhausted', 'fullKept'],
    ['SlotsUsed', 'nearlyFull'],
    ['OldTransaction', 'openTransaction'],
    ['Leak', 'leak'],
    ['Refused', 'refused'],
  ])('%s is over when the cause is', (name, cause) => {
    const during = forMinutes(30, state[cause])
    expect(lastStates('reap', during)[name]).toBe('ALARM')
    expect(lastStates('reap', [...during, ...forMinutes(10, state.quiet)])[name]).toBe('OK')
  })

  test('Silent lasts as long as nothing is heard', () => {
    const silent = [...forMinutes(5, state.quiet), ...forMinutes(300, none)]
    expect(lastStates('reap', silent).Silent).toBe('ALARM')
    expect(lastStates('reap', [...silent, ...forMinutes(10, state.quiet)]).Silent).toBe('OK')
  })

  test('a full server that lets no sweep in does not call SlotsUsed over', () => {
    const locked = [...forMinutes(5, state.fullKept), ...forMinutes(60, state.lockedOut)]
    expect(lastStates('reap', locked)).toMatchObject({ SlotsUsed: 'ALARM', Exhausted: 'ALARM' })
  })
})
