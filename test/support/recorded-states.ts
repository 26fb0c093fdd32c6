import { afterAll, beforeAll } from 'vitest'
import type { PolicyInput } from '../../infra/index.ts'
import type { Mode } from '../../lambda/core/report.ts'
import { startAws } from '../../stand-ins/aws.ts'
import type { Lambda } from '../../stand-ins/lambda.ts'
import type { Minute } from './cloudwatch.ts'
import { SECRET, secretOf, startFunction } from './function.ts'
import { record } from './recording.ts'
import { REAPER_ROLES, type Role, testServer, until } from './server.ts'

// What the built function publishes is recorded once for each state of server and function, laid out
// over minutes, and replayed through the alarms of a synthesized template.

/** Of a transaction, s: nobody waits here for the quarter of an hour that is the default. */
export const OLD_S = 1
/** With room for a leak that sets off `Leak`. */
const SLOTS = 60

const db = await testServer({
  max_connections: String(SLOTS),
  superuser_reserved_connections: '2',
})
export const aws = await startAws({})
afterAll(() => aws.close())
export const reaper = await db.role('reaper', REAPER_ROLES)
const replicator = await db.role('replicator', REAPER_ROLES, 'replication')
const powerless = await db.role('powerless', ['pg_monitor'])
const app = await db.role('shop_app')
const stranger = await db.role('crm_app')

export const old: PolicyInput = {
  scope: { users: ['shop_*'] },
  protect: [{ applications: ['pg_dump'] }],
  rules: [{ name: 'old', state: 'idle', olderThan: '1h' }],
}
const atOnce: PolicyInput = { ...old, rules: [{ name: 'now', state: 'idle', olderThan: '0s' }] }

type Order = { mode?: Mode; policy?: PolicyInput; role?: Role; environment?: object }

/** What one function publishes in its sweeps; `between` is what happens before each. */
export async function recorded(
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
export const lets = (role: Role | undefined, application: string) => async () => {
  const { pid } = await db.open(role, application, 'begin', 'select 1')
  await until(async () => {
    const { rows } = await db.admin.query(
      'select extract(epoch from now() - xact_start) as age from pg_stat_activity where pid = $1',
      [pid],
    )
    return Number(rows[0]?.age) > OLD_S
  })
}
export const nothing = async () => undefined
const fills = () => db.fill(app)

export const state = {} as Record<
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
