import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import ServerlessClient from 'serverless-postgres'
import { deadlineIn, SWEEP_MS } from '../lambda/postgres/gate.ts'
import { createTarget } from '../lambda/target.ts'
import { policy } from '../test/support/session.ts'
import { APP, APPLICATION, type BenchServer } from './server.ts'
import { postgresTools, run } from './tools.ts'

/** A way to end all idle sessions of the application, ready to run once. Only `reap` is measured. */
export type Reaper = {
  /** Returns the number of passes that it took. */
  reap(): Promise<number>
  end(): Promise<unknown>
  /** The server process that works for it. Undefined if it makes new ones. */
  backend?: number
}

export type Prepare = (db: BenchServer) => Promise<Reaper>

const CRON_SCRIPT = fileURLToPath(new URL('cron-reaper.sh', import.meta.url))
const MOST_PASSES = 10
const BACKEND = 'select pg_backend_pid()'
/** As every method here, it has read the list of sessions over its connection before it is measured. */
const WARM_UP = 'select count(*) from pg_stat_activity'
const END_ALL = `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${APP.user}' and state = 'idle'`

const superuser = ({ server, address }: BenchServer) => ({
  PGHOST: address.host,
  PGPORT: String(address.port),
  PGUSER: 'postgres',
  PGPASSWORD: server.password,
  PGDATABASE: 'postgres',
})

/** The floor: the least that any method can do, from a client in C. */
export const psql: Prepare = async (db) => {
  const child = spawn(`${postgresTools()}/psql`, ['-XAtq'], {
    env: { ...process.env, ...superuser(db) },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })
  const say = async (sql: string): Promise<string> => {
    const answered = once(lines, 'line')
    child.stdin.write(`${sql};\n`)
    const [line] = await answered
    return line
  }
  const backend = Number(await say(BACKEND))
  await say(WARM_UP)
  return {
    backend,
    reap: () => say(END_ALL).then(() => 1),
    async end() {
      child.stdin.end()
      await once(child, 'exit')
    },
  }
}

/** The same statement from the driver that Slotkeeper uses. */
export const driver: Prepare = async ({ server }) => {
  const client = new Client({ connectionString: server.url() })
  await client.connect()
  const { rows } = await client.query<{ pg_backend_pid: number }>(BACKEND)
  await client.query(WARM_UP)
  return {
    ...(rows[0] && { backend: rows[0].pg_backend_pid }),
    reap: () => client.query(END_ALL).then(() => 1),
    end: () => client.end(),
  }
}

/** A target as the function keeps it between its sweeps: it observed the sessions in the minute before. */
export const slotkeeper: Prepare = async (db) => {
  const rules = policy({
    scope: { users: [APP.user] },
    rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
  })
  const target = createTarget('bench', rules, db.gate())
  const pass = (mode: 'reap' | 'observe') => target.sweep(mode, deadlineIn(SWEEP_MS))
  const { snapshot, report } = await pass('observe')
  const crowd = report.wouldReap.length
  return {
    backend: snapshot.ownPid,
    // A sweep stops signalling before its time is up, and spares what changes. The next sweep ends the rest.
    async reap() {
      let passes = 0
      let reaped = 0
      while (reaped < crowd && passes < MOST_PASSES) {
        reaped += (await pass('reap')).report.reaped.length
        passes += 1
      }
      return passes
    },
    end: () => target.close(),
  }
}

export const serverless: Prepare = async ({ address }) => {
  const client = new ServerlessClient({
    ...address,
    ...APP,
    application_name: APPLICATION,
    maxConnections: 1,
    connUtilization: 0.001,
    minConnectionIdleTimeSec: 0.001,
  })
  await client.connect()
  const { rows } = await client.query(BACKEND)
  await client.query(WARM_UP)
  return {
    backend: rows[0].pg_backend_pid,
    reap: () => client.clean().then(() => 1),
    end: () => client.end(),
  }
}

export const cron: Prepare = async (db) => {
  const env = {
    ...superuser(db),
    AGE: '30 s',
    CROWD: '5',
    PATH: `${postgresTools()}:${process.env.PATH}`,
  }
  return { reap: () => run('sh', [CRON_SCRIPT], env).then(() => 1), end: async () => undefined }
}
