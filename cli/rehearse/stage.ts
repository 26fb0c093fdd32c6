import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { type Aws, EXAMPLE_KEYS, startAws } from '../../stand-ins/aws.ts'
import { type Lambda, startLambda } from '../../stand-ins/lambda.ts'
import { type Server, startPostgres } from '../../stand-ins/postgres.ts'

const FUNCTION_TIMEOUT_MS = 30_000
const SECRET = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:rehearsal/reaper'
const REAPER = { user: 'slotkeeper', password: 'a password for the rehearsal' }
const APP = { user: 'shop_app', password: 'another password' }

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Everything that the rehearsal runs on. `close` stops and removes every part of it. */
export type Stage = {
  server: Server
  aws: Aws
  lambda: Lambda
  /** Two leaking processes of the application. */
  apps: App[]
  /** The number of client backends now. A superuser asks, because it can use the reserved slots. */
  countSlots(): Promise<number>
  /** Whether the sessions that look leaked, but are not, are still alive. */
  bystandersLive(): boolean
  close(): Promise<void>
}

export type App = {
  /** `connected`, `ended`, and `refused` with the server's message. */
  events: EventEmitter
  /** Leaks this many sessions from now on. If a connection is refused, it tries again. */
  leak(sessions: number): void
}

/** Starts every part. `close` stops them in reverse order, also if starting failed halfway. */
export async function setStage(maxConnections: number): Promise<Stage> {
  const undo: (() => unknown)[] = []
  const close = async () => {
    for (let last = undo.pop(); last; last = undo.pop()) await last()
  }
  try {
    const server = await startPostgres({ max_connections: String(maxConnections) })
    undo.push(() => server.stop())
    const watcher = await prepare(server)
    undo.push(() => watcher.end())
    const aws = await startAws({ [SECRET]: secretOf(server) })
    undo.push(() => aws.close())
    const lambda = await startFunction(server, aws)
    undo.push(() => lambda.stop())
    const bystanders = await startBystanders(server)
    undo.push(() => bystanders.stop())
    const apps = ['checkout-web', 'stock-worker'].map((name) => startApp(server, name))
    undo.push(() => Promise.all(apps.map((app) => app.stop())))
    const countSlots = async () => {
      const { rows } = await watcher.query<{ used: number }>(
        "select count(*)::int as used from pg_stat_activity where backend_type = 'client backend'",
      )
      return rows[0]?.used ?? 0
    }
    return { server, aws, lambda, apps, countSlots, bystandersLive: bystanders.live, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Creates the database and two roles: the application's, and the reaper's with the least privileges. */
async function prepare(server: Server): Promise<Client> {
  const watcher = new Client({ connectionString: server.url(), application_name: 'rehearsal' })
  await watcher.connect()
  await watcher.query(`
    create role ${APP.user} login password '${APP.password}';
    create role ${REAPER.user} login replication password '${REAPER.password}';
    grant pg_monitor, pg_signal_backend to ${REAPER.user}`)
  await watcher.query(`create database shop owner ${APP.user}`)
  return watcher
}

/** In the format that the rotation templates of Secrets Manager use. */
function secretOf({ host, port }: Server): string {
  const { user, password } = REAPER
  return JSON.stringify({
    engine: 'postgres',
    host,
    port,
    username: user,
    password,
    dbname: 'shop',
  })
}

function startFunction(server: Server, aws: Aws): Promise<Lambda> {
  return startLambda({
    bundle: beside('./lambda'),
    bootstrap: beside('./bootstrap.mjs'),
    timeoutMs: FUNCTION_TIMEOUT_MS,
    environment: {
      ...EXAMPLE_KEYS,
      AWS_ENDPOINT_URL: aws.url,
      SLOTKEEPER_TARGET: 'rehearsal',
      SLOTKEEPER_MODE: 'reap',
      SLOTKEEPER_POLICY: 'incident',
      SLOTKEEPER_SECRET_ARN: SECRET,
      // The function accepts this on the loopback only. Anywhere else it requires TLS.
      SLOTKEEPER_HOST: server.host,
      SLOTKEEPER_TLS: 'off',
      // If the function fails, its output is shown, and this warning would be noise.
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
  })
}

async function startBystanders(server: Server) {
  const open = async (application_name: string) => {
    const client = new Client({ connectionString: server.url(APP, 'shop'), application_name })
    await client.connect()
    return client
  }
  const clients = await Promise.all(['notifier', 'migration', 'report'].map(open))
  const ended = new Set<Client>()
  for (const client of clients) client.on('error', () => ended.add(client))
  const [notifier, migration, report] = clients as [Client, Client, Client]
  await notifier.query('listen orders')
  await migration.query('select pg_advisory_lock(42)')
  // Runs until the end of the rehearsal closes it.
  report.query('select pg_sleep(3600)').catch(() => ended.add(report))
  return {
    live: () => ended.size === 0,
    stop: () => Promise.all(clients.map((client) => client.end())),
  }
}

function startApp(server: Server, name: string): App & { stop(): Promise<void> } {
  const child = spawn(process.execPath, [beside('./leak.mjs'), server.url(APP, 'shop'), name], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const events = new EventEmitter()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [word, detail] = JSON.parse(line) as [string, string]
    events.emit(word, detail)
  })
  const exited = once(child, 'exit')
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  return {
    events,
    leak: (sessions) => child.stdin.write(`${sessions}\n`),
    async stop() {
      kill()
      await exited
      process.off('exit', kill)
    },
  }
}
