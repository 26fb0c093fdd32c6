import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import ServerlessClient from 'serverless-postgres'
import { deadlineIn, SWEEP_MS } from '../lambda/postgres/gate.ts'
import { sweep } from '../lambda/sweep.ts'
import { policy } from '../test/support/session.ts'
import { APP, APPLICATION, type BenchServer, benchServer } from './server.ts'
import { brief, median, ratio } from './statistics.ts'
import type { Table } from './table.ts'
import { postgresTools, run } from './tools.ts'

const CROWDS = [10, 100, 1000, 2000]
const REPEATS = 3
const CRON_SCRIPT = fileURLToPath(new URL('cron-reaper.sh', import.meta.url))

/** A method of reaping, ready to run. Only `reap` is measured. */
type Method = { reap(): Promise<unknown>; end(): Promise<unknown> }

const methods: Record<string, (db: BenchServer) => Promise<Method>> = {
  'one statement, warm psql (the floor)': floor,
  '**Slotkeeper, warm**': slotkeeper,
  'serverless-postgres, warm': serverless,
  'the cron script, with a new psql each time': cron,
}

/** The time and the server's CPU time until N idle sessions are gone, for each method. */
export async function reap(): Promise<Table> {
  const db = await benchServer({ max_connections: String(Math.max(...CROWDS) + 50) })
  const rows: Table['rows'] = []
  try {
    for (const crowd of CROWDS) {
      const measured = await measureAll(db, crowd)
      const [base] = measured
      for (const { name, ms, cpuMs } of measured) {
        rows.push([crowd, name, brief(ms), ratio(ms, base?.ms ?? 0), Math.round(cpuMs)])
      }
    }
  } finally {
    await db.stop()
  }
  return {
    title: `Reaping N idle sessions, until none is left in \`pg_stat_activity\`; median of ${REPEATS}`,
    columns: ['N', 'method', 'ms', 'ratio to the floor', 'server CPU, ms'],
    rows,
  }
}

/**
 * The methods take turns, so that other load on the machine affects all of them alike. The first round
 * does not count.
 */
async function measureAll(db: BenchServer, crowd: number) {
  const samples = new Map(Object.keys(methods).map((name) => [name, [] as [number, number][]]))
  for (let round = 0; round <= REPEATS; round += 1) {
    for (const [name, prepare] of Object.entries(methods)) {
      const sample = await measureOnce(db, crowd, prepare)
      if (round > 0) samples.get(name)?.push(sample)
    }
  }
  return [...samples].map(([name, taken]) => ({
    name,
    ms: median(taken.map(([ms]) => ms)),
    cpuMs: median(taken.map(([, cpuMs]) => cpuMs)),
  }))
}

async function measureOnce(
  db: BenchServer,
  crowd: number,
  prepare: (db: BenchServer) => Promise<Method>,
): Promise<[ms: number, cpuMs: number]> {
  const held = await db.hold(crowd)
  const method = await prepare(db)
  const others = (await db.countApp()) - crowd
  const cpuBefore = db.cpuMs()
  const started = performance.now()
  const reaping = method.reap()
  await held.closed
  while ((await db.countApp()) > others);
  const ms = performance.now() - started
  await reaping
  const cpuMs = db.cpuMs() - cpuBefore
  await method.end()
  await held.release()
  return [ms, cpuMs]
}

const superuser = ({ server, address }: BenchServer) => ({
  PGHOST: address.host,
  PGPORT: String(address.port),
  PGUSER: 'postgres',
  PGPASSWORD: server.password,
  PGDATABASE: 'postgres',
})

async function floor(db: BenchServer): Promise<Method> {
  const psql = spawn(`${postgresTools()}/psql`, ['-XAtq'], {
    env: { ...process.env, ...superuser(db) },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: psql.stdout })
  const say = async (sql: string) => {
    const answered = once(lines, 'line')
    psql.stdin.write(`${sql}\n`)
    await answered
  }
  await say('select count(*) from pg_stat_activity;')
  return {
    reap: () =>
      say(
        `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${APP.user}' and state = 'idle';`,
      ),
    async end() {
      psql.stdin.end()
      await once(psql, 'exit')
    },
  }
}

async function slotkeeper(db: BenchServer): Promise<Method> {
  const gate = db.gate()
  const rules = policy({
    scope: { users: [APP.user] },
    rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
  })
  const once = (mode: 'reap' | 'observe') =>
    sweep(gate, { target: 'bench', policy: rules, mode }, deadlineIn(SWEEP_MS))
  await once('observe')
  // A sweep stops signalling before its time is up. On a slow server the next sweep ends the rest.
  const all = async () => {
    while ((await once('reap')).report.spared.budget > 0);
  }
  return { reap: all, end: () => gate.close() }
}

async function serverless({ address }: BenchServer): Promise<Method> {
  const client = new ServerlessClient({
    ...address,
    ...APP,
    application_name: APPLICATION,
    maxConnections: 1,
    connUtilization: 0.001,
    minConnectionIdleTimeSec: 0.001,
  })
  await client.connect()
  return { reap: () => client.clean(), end: () => client.end() }
}

async function cron(db: BenchServer): Promise<Method> {
  const env = {
    ...superuser(db),
    AGE: '30 s',
    CROWD: '5',
    PATH: `${postgresTools()}:${process.env.PATH}`,
  }
  return { reap: () => run('sh', [CRON_SCRIPT], env), end: async () => undefined }
}
