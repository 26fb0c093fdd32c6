import type { PolicyInput } from '../../infra/index.ts'
import type { Mode } from '../../lambda/core/report.ts'
import { type Aws, startAws } from '../../stand-ins/aws.ts'
import type { Lambda } from '../../stand-ins/lambda.ts'
import { CLUSTER, hostOf, testAurora } from './aurora.ts'
import type { Minute } from './cloudwatch.ts'
import { SECRET, secretOf, startFunction } from './function.ts'
import { record } from './recording.ts'
import { REAPER_ROLES, type Role, type TestServer, testServer, until } from './server.ts'

// What the built function publishes is recorded once for each state of server and function, laid out
// over minutes, and replayed through the alarms of a synthesized template.

/** Of a transaction, s: nobody waits here for the quarter of an hour that is the default. */
export const OLD_S = 1
/** With room for a leak that sets off `Leak`. */
const SETTINGS = { max_connections: '60', superuser_reserved_connections: '2' }

export const old: PolicyInput = {
  scope: { users: ['shop_*'] },
  protect: [{ applications: ['pg_dump'] }],
  rules: [{ name: 'old', state: 'idle', olderThan: '1h' }],
}
const atOnce: PolicyInput = { ...old, rules: [{ name: 'now', state: 'idle', olderThan: '0s' }] }

/** A target of the function, whose states are recorded. */
export type Site = {
  /** The server that is in each state. Any other server of the target is quiet. */
  db: TestServer
  role: TestServer['role']
  /** The secret with which the function logs in as a role. */
  secretOf(role: Role): string
  start(awsUrl: string, environment: Record<string, string | undefined>): Promise<Lambda>
  /** Makes the sweeps of the server fail, until `mend`. */
  fail(aws: Aws): Promise<unknown>
  mend(): void
}

/** One server. */
export async function server(): Promise<Site> {
  const db = await testServer(SETTINGS)
  return {
    db,
    role: db.role,
    secretOf: (role) => secretOf(db.server, role),
    start: startFunction,
    fail: async (aws) =>
      aws.secrets.set(SECRET, secretOf(db.server, { user: 'reaper', password: 'another' })),
    mend: () => undefined,
  }
}

/** A cluster of a writer and a reader, of which the reader is in each state. */
export async function cluster(): Promise<Site> {
  const aurora = await testAurora(['shop-1', 'shop-2'], SETTINGS)
  const reader = aurora.of('shop-2')
  return {
    db: reader.db,
    role: aurora.role,
    secretOf: (role) => secretOf({ host: CLUSTER, port: aurora.port }, role),
    start: aurora.start,
    fail: async () => aurora.lead(hostOf(reader.id), undefined),
    mend: () => aurora.lead(hostOf(reader.id), reader.id),
  }
}

const nothing = async () => undefined

export type States = Record<
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

type Order = {
  mode?: Mode
  policy?: PolicyInput
  role?: Role
  environment?: Record<string, string>
}

/** Records what the function publishes in each state of a target. */
export async function recordStates(site: Site): Promise<States> {
  const { db } = site
  const aws = await startAws({})
  const reaper = await site.role('reaper', REAPER_ROLES)
  const replicator = await site.role('replicator', REAPER_ROLES, 'replication')
  const powerless = await site.role('powerless', ['pg_monitor'])
  const app = await site.role('shop_app')
  const stranger = await site.role('crm_app')

  /** What one function publishes in its last sweep; `between` is what happens before each. */
  async function sweep(
    { mode = 'reap', policy = old, role = reaper, environment }: Order,
    ...between: (() => Promise<unknown>)[]
  ): Promise<Minute> {
    aws.secrets.set(SECRET, site.secretOf(role))
    const lambda = await site.start(aws.url, {
      SLOTKEEPER_MODE: mode,
      SLOTKEEPER_POLICY: JSON.stringify(policy),
      ...environment,
    })
    try {
      let minute: Minute = {}
      for (const happens of between.length > 0 ? between : [nothing]) {
        await happens()
        minute = await record(lambda, aws)
      }
      return minute
    } finally {
      await lambda.stop()
      site.mend()
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

  const opens = (count: number) => () =>
    Promise.all(Array.from({ length: count }, () => db.open(app, 'php')))
  const fills = () => db.fill(app)
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
  const observed = { mode: 'observe', policy: atOnce } as const
  const unreachable = { AWS_ENDPOINT_URL_CLOUDWATCH: 'http://127.0.0.1:1' }

  const states = {
    quiet: await sweep({}, opens(5), nothing),
    quietObserved: await sweep({ mode: 'observe' }, opens(5), nothing),
    nearlyFull: await sweep({}, opens(50)),
    fullKept: await sweep({}, nothing, fills),
    fullBehind: await sweep({ role: replicator }, fills),
    lockedOut: await sweep({}, fills),
    failing: await sweep({}, () => site.fail(aws)),
    unstarted: await sweep({ environment: { SLOTKEEPER_POLICY: '{' } }),
    lost: await sweep({ environment: unreachable }),
    leak: await sweep({ policy: atOnce }, opens(25)),
    leakObserved: await sweep(observed, nothing, opens(25)),
    poolObserved: await sweep(observed, opens(25), nothing),
    dump: await sweep({}, lets(app, 'pg_dump')),
    openTransaction: await sweep({}, lets(app, 'php')),
    superuser: await sweep({}, lets(undefined, 'psql')),
    outOfScope: await sweep({}, lets(stranger, 'php')),
    refused: await sweep({ policy: atOnce, role: powerless }, opens(2)),
    refusable: await sweep({ ...observed, role: powerless }, opens(2)),
  }
  await aws.close()
  return states
}

/** Records what a function with auto-pause publishes while a cluster is paused. */
export async function recordPaused(site: Site): Promise<Minute> {
  const aws = await startAws({ [SECRET]: site.secretOf({ user: 'reaper', password: 'x' }) })
  const at = Date.now() / 1000
  for (const name of ['ServerlessDatabaseCapacity', 'DatabaseConnections']) {
    aws.samples.set(`AWS/RDS/${name} DBClusterIdentifier=shop`, [{ at, value: 0 }])
  }
  const lambda = await site.start(aws.url, { SLOTKEEPER_AUTO_PAUSE: 'on' })
  const minute = await record(lambda, aws)
  await lambda.stop()
  await aws.close()
  return minute
}
