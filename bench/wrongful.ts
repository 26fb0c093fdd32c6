import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Client } from 'pg'
import { deadlineIn, SWEEP_MS } from '../lambda/postgres/gate.ts'
import { sweep } from '../lambda/sweep.ts'
import type { Server } from '../stand-ins/postgres.ts'
import { policy } from '../test/support/session.ts'
import { APP, type BenchServer, benchServer } from './server.ts'
import {
  applications,
  makeLedger,
  STRESS_SETTINGS,
  stress,
  type Toll,
  type Work,
} from './stress.ts'
import type { Table } from './table.ts'
import { postgresTools, run } from './tools.ts'

const AGE_MS = 500
const GAP_MS = 600
/** pgbench does not connect again, so its gaps exceed the rule's age only rarely. */
const PGBENCH_GAP_MS = 525
const CLIENTS = 64
const FOR_MS = 10_000
/** The number and the length of Slotkeeper's turns are chosen so that it reaps some five thousand sessions. */
const TURNS = 4
const TURN_MS = 4 * FOR_MS

const CRON_SCRIPT = fileURLToPath(new URL('cron-reaper.sh', import.meta.url))
const PGBENCH_SCRIPT = fileURLToPath(new URL('pgbench.sql', import.meta.url))

type Reap = () => Promise<unknown>

/** Which sessions each method of reaping hits while many clients work with gaps around the rule's age. */
export async function wrongful(): Promise<Table> {
  const db = await benchServer(STRESS_SETTINGS)
  const { admin, server } = db
  const slotkeeper = reaper(db)
  const clients = (forMs: number) => () =>
    applications(
      admin,
      { user: APP.user, url: server.url(APP) },
      { clients: CLIENTS, gapMs: GAP_MS, forMs },
    )
  const rows: Table['rows'] = []
  const count = async (name: string, work: () => Promise<Work>, reap: Reap) => {
    rows.push(row(name, [await stress(db, AGE_MS, work, reap)]))
  }
  const old = `select pid from pg_stat_activity where usename = '${APP.user}' and state = 'idle' and state_change < now() - interval '${AGE_MS} ms'`
  try {
    await count('cron script, by age', clients(FOR_MS), cron(server, CLIENTS))
    await count('cron script, a crowd', clients(FOR_MS), cron(server, 5))
    await count('list, then kill by pid', clients(FOR_MS), async () => {
      for (const { pid } of (await admin.query(old)).rows)
        await admin.query('select pg_terminate_backend($1)', [pid])
    })
    await count('one select-and-kill statement', clients(FOR_MS), () =>
      admin.query(old.replace('select pid', 'select pg_terminate_backend(pid)')),
    )
    // How many queries are on the wire depends on the load of the machine, so the two methods take turns.
    const timeout: Toll[] = []
    const sweeps: Toll[] = []
    for (let turn = 0; turn < TURNS; turn += 1) {
      await admin.query(`alter role ${APP.user} set idle_session_timeout = ${AGE_MS}`)
      timeout.push(await stress(db, AGE_MS, clients(FOR_MS), () => pause(AGE_MS)))
      await admin.query(`alter role ${APP.user} reset idle_session_timeout`)
      sweeps.push(await stress(db, AGE_MS, clients(TURN_MS), slotkeeper.reap))
    }
    rows.push(row('idle_session_timeout', timeout), row('**Slotkeeper**', sweeps))
    for (const mode of [[], ['--connect']]) {
      await count(
        `Slotkeeper, pgbench ${mode.join('')}`,
        () => pgbench(server, admin, mode),
        slotkeeper.reap,
      )
    }
  } finally {
    await slotkeeper.close()
    await db.stop()
  }
  return {
    title: `Wrong victims per 1,000 reaps: ${CLIENTS} clients with gaps up to ${GAP_MS} ms, rule age ${AGE_MS} ms`,
    columns: ['method', 'reaps', 'busy', 'young', 'on the wire', 'committed', 'lost'],
    rows,
  }
}

function row(name: string, tolls: Toll[]) {
  const sum = (field: keyof Toll) => tolls.reduce((total, toll) => total + (toll[field] ?? 0), 0)
  const reaped = sum('reaped')
  const rate = (field: keyof Toll) => Math.round((sum(field) / reaped) * 10_000) / 10
  const isTold = tolls.every(({ onTheWire }) => onTheWire !== undefined)
  const wire = isTold ? rate('onTheWire') : '-'
  return [name, reaped, rate('busy'), rate('young'), wire, sum('committed'), sum('lost')]
}

function reaper(db: BenchServer) {
  const gate = db.gate()
  const rules = policy({
    scope: { users: [APP.user] },
    rules: [{ name: 'idle', state: 'idle', olderThan: `${AGE_MS}ms` }],
  })
  return {
    reap: () => sweep(gate, { target: 'bench', policy: rules, mode: 'reap' }, deadlineIn(SWEEP_MS)),
    close: () => gate.close(),
  }
}

/** Runs the cron script as a superuser, as a script on the server's own machine often does. */
function cron(server: Server, crowd: number): Reap {
  const env = {
    AGE: `${AGE_MS} ms`,
    CROWD: String(crowd),
    PGHOST: server.host,
    PGPORT: String(server.port),
    PGUSER: 'postgres',
    PGPASSWORD: server.password,
    PATH: `${postgresTools()}:${process.env.PATH}`,
  }
  return () => run('sh', [CRON_SCRIPT], env)
}

/** A pgbench client gives up when its session is ended, so pgbench is started again and again. */
async function pgbench(server: Server, admin: Client, mode: string[]): Promise<Work> {
  await makeLedger(admin, APP.user)
  const until = performance.now() + FOR_MS
  const load = `--no-vacuum --client=${CLIENTS} --time=5 --protocol=prepared --define=gap=${PGBENCH_GAP_MS}`
  let acknowledged = 0
  while (performance.now() < until) {
    const said = await run(`${postgresTools()}/pgbench`, [
      ...[...load.split(' '), ...mode],
      ...['--file', PGBENCH_SCRIPT, server.url(APP)],
    ])
    acknowledged += Number(/transactions actually processed: (\d+)/.exec(said)?.[1])
  }
  const { rows } = await admin.query<{ committed: number }>(
    'select count(*)::int as committed from ledger',
  )
  const committed = rows[0]?.committed ?? 0
  return { committed, lost: Math.max(0, acknowledged - committed) }
}
