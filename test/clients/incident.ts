// Plays the incident with real PHP processes, at a tenth of its size and of its times: npx tsx test/clients/incident.ts.
// With a part of a scenario's name it plays that one only.
// 18 workers of Laravel and two children of PHP-FPM want the 10 slots of a server. It prints docs/incident.md's table.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { INCIDENT, type Policy, parsePolicy } from '../../lambda/core/policy.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { createGate, deadlineIn, SWEEP_MS } from '../../lambda/postgres/gate.ts'
import { sweep } from '../../lambda/sweep.ts'
import { freePort, type Server, startPostgres } from '../../stand-ins/postgres.ts'

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const SCALE = 10
/** So many scenarios at once leave the processor idle most of the time. */
const AT_ONCE = 2
/** Three are reserved, and the connection that looks on needs one: 10 are left. */
const MAX_CONNECTIONS = 14
const FILL_MS = 4_000
const LOGIN_EVERY_MS = 400

type Scenario = {
  name: string
  workers?: number
  maxConnections?: number
  modes?: string
  sweeps?: boolean
  pooler?: boolean
  limit?: number
}

type Count = { failed: number; all: number }
type Result = { jobs: Count; web: Count; others: Count; ended: number; mostUsed: number }

const SCENARIOS: Scenario[] = [
  { name: 'nothing' },
  {
    name: '`ATTR_AUTOCOMMIT` false, `ATTR_TIMEOUT` 5, `ATTR_PERSISTENT` false, `sticky` false',
    modes: 'settings',
  },
  { name: 'read and write hosts, `sticky` true', modes: 'split' },
  { name: 'Slotkeeper, policy `incident`', sweeps: true },
  { name: '`ALTER ROLE … CONNECTION LIMIT 8`', limit: 8 },
  { name: '`DB::disconnect()` after each job', modes: 'disconnect' },
  { name: '`maxProcesses` 7, with `pm.max_children` 2', workers: 7 },
  { name: '`max_connections` for all of them', maxConnections: 27 },
  { name: 'PgBouncer, transaction mode', pooler: true },
]

const LOADS = [
  { name: 'a job each 5 to 30 s', pauseMs: [500, 3_000], playMs: 40_000, scenarios: SCENARIOS },
  {
    name: 'a job each 80 to 300 s',
    pauseMs: [8_000, 30_000],
    playMs: 100_000,
    scenarios: SCENARIOS.filter(({ name, sweeps }) => name === 'nothing' || sweeps),
  },
] as const

const [, , part = ''] = process.argv
for (const { name, pauseMs, playMs, scenarios } of LOADS) {
  process.stdout.write(
    `\n| ${name} | jobs failed | pages failed | other logins refused | sessions ended | most slots used |\n| --- | ---: | ---: | ---: | ---: | ---: |\n`,
  )
  const waiting = scenarios.filter((scenario) => scenario.name.includes(part))
  const work = async () => {
    for (let scenario = waiting.shift(); scenario; scenario = waiting.shift()) {
      const { jobs, web, others, ended, mostUsed } = await play(scenario, pauseMs, playMs)
      const { maxConnections = MAX_CONNECTIONS } = scenario
      const of = ({ failed, all }: Count) => `${failed} of ${all}`
      process.stdout.write(
        `| ${scenario.name} | ${of(jobs)} | ${of(web)} | ${of(others)} | ${ended} | ${mostUsed} of ${maxConnections - 4} |\n`,
      )
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

async function play(
  { workers = 18, maxConnections = MAX_CONNECTIONS, modes = '', sweeps, pooler, limit }: Scenario,
  [shortest, longest]: readonly [number, number],
  playMs: number,
): Promise<Result> {
  const server = await startPostgres({ max_connections: String(maxConnections) })
  const admin = new Client({ connectionString: server.url() })
  await admin.connect()
  await admin.query(`
    create role app login password 'app' ${limit === undefined ? '' : `connection limit ${limit}`};
    create role other login password 'other';
    create role reaper login replication password 'reaper';
    grant pg_monitor, pg_signal_backend to reaper;
    create table orders (id int primary key, paid boolean);
    insert into orders values (1, false);
    grant all on orders to app`)
  const bouncer = pooler ? await startPooler(server) : undefined
  const jobs = { failed: 0, all: 0 }
  const web = { failed: 0, all: 0 }
  const environment = {
    ...process.env,
    PGHOST: server.host,
    PGPORT: String(bouncer?.port ?? server.port),
    PGDATABASE: 'postgres',
    PGUSER: 'app',
    PGPASSWORD: 'app',
    MODES: modes,
    POOLER: pooler ? 'on' : 'off',
    FPM_CHILDREN: '2',
    PAUSE_MS: '500',
    SETTING: 'off',
  }
  const options = { cwd: FOLDER, env: environment }
  const programs = [
    ...Array.from({ length: workers }, () =>
      counted(
        spawn('php', ['php/incident-worker.php', String(shortest), String(longest)], options),
        jobs,
      ),
    ),
    counted(spawn('node', ['php/fpm.mjs', 'page'], options), web),
  ]
  let mostUsed = 0
  let ended = 0
  const over = new AbortController()
  const others = { failed: 0, all: 0 }
  await pause(FILL_MS)
  const tasks = [
    every(LOGIN_EVERY_MS, over.signal, async () => {
      others.all++
      const other = new Client({
        connectionString: server.url({ user: 'other', password: 'other' }),
      })
      other.on('error', () => undefined)
      await other.connect().catch(() => {
        others.failed++
      })
      await other.end()
    }),
    every(100, over.signal, async () => {
      const { rows } = await admin.query(
        "select count(*)::int as used from pg_stat_activity where backend_type = 'client backend' and usename in ('app', 'other')",
      )
      mostUsed = Math.max(mostUsed, rows[0].used)
    }),
    ...(sweeps
      ? [
          every(60_000 / SCALE, over.signal, async () => {
            ended += await sweepOnce(server)
          }),
        ]
      : []),
  ]
  await pause(playMs)
  over.abort()
  await Promise.all(tasks)
  const counts = { jobs: { ...jobs }, web: { ...web }, others, ended, mostUsed }
  await Promise.all(programs.map(stop))
  if (bouncer) await bouncer.close()
  await admin.end()
  await server.stop()
  return counts
}

function counted(program: ChildProcess, count: Count): ChildProcess {
  if (program.stdout === null) throw new Error('no output')
  createInterface(program.stdout).on('line', (line) => {
    if (!line.startsWith('{"round"')) return
    count.all++
    if (!JSON.parse(line).ok) count.failed++
  })
  return program
}

async function stop(program: ChildProcess): Promise<void> {
  const exited = once(program, 'exit')
  if (program.exitCode !== null) return
  program.kill()
  await exited
}

async function every(ms: number, over: AbortSignal, task: () => Promise<void>): Promise<void> {
  while (!over.aborted) {
    await task()
    await pause(ms, undefined, { signal: over }).catch(() => undefined)
  }
}

/** One sweep by the policy of the incident, with its age scaled, in a process that begins anew each time. */
async function sweepOnce(server: Server): Promise<number> {
  const credentials = {
    host: server.host,
    port: server.port,
    database: 'postgres',
    user: 'reaper',
    password: 'reaper',
  }
  const gate = createGate(async () => credentials, false)
  try {
    const order = { target: 'incident', policy: scaled(), mode: 'reap' as const }
    const { report } = await sweep(gate, order, deadlineIn(SWEEP_MS))
    return report.reaped.length
  } catch (error) {
    if (!(error instanceof SlotkeeperError)) throw error
    process.stderr.write(`${error.message}\n`)
    return 0
  } finally {
    await gate.close()
  }
}

function scaled(): Policy {
  const policy = parsePolicy(INCIDENT)
  if (!policy.ok) throw new Error(policy.problems.join('; '))
  const rules = policy.value.rules.map((rule) => ({ ...rule, olderThan: rule.olderThan / SCALE }))
  return { ...policy.value, scope: { users: ['app'] }, rules }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

async function startPooler(server: Server) {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-pooler-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  writeFileSync(join(folder, 'users.txt'), '"app" "app"\n')
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    `[databases]
postgres = host=127.0.0.1 port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 8
`,
  )
  const asRoot = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  const child = spawn('/usr/sbin/pgbouncer', [join(folder, 'pgbouncer.ini')], {
    ...asRoot,
    stdio: 'ignore',
  })
  while (!(await accepts(port))) await pause(20)
  return {
    port,
    async close() {
      await stop(child)
      rmSync(folder, { recursive: true })
    },
  }
}
