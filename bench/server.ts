import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { createGate, type Gate } from '../lambda/postgres/gate.ts'
import { startPostgres } from '../stand-ins/postgres.ts'
import { trust } from '../test/support/trust.ts'

const SESSIONS = fileURLToPath(new URL('sessions.ts', import.meta.url))
const PASSWORD = 'a password for the bench'

export const APP = { user: 'shop_app', password: PASSWORD }
export const REAPER = { user: 'slotkeeper', password: PASSWORD }
export const APPLICATION = 'bench'

/** Idle sessions of the application, which a separate process holds. */
export type Held = { closed: Promise<unknown>; release(): Promise<void> }

/** A disposable server with the roles of an application and of the reaper. */
export async function benchServer(settings: Record<string, string>) {
  const server = await startPostgres(settings)
  const admin = new Client({ connectionString: server.url(), application_name: 'bench admin' })
  await admin.connect()
  await admin.query(`
    create role ${APP.user} login password '${PASSWORD}';
    create role ${REAPER.user} login password '${PASSWORD}';
    grant pg_monitor, pg_signal_backend to ${REAPER.user}`)
  await trust(admin, APP.user)
  const { host, port } = server
  const address = { host, port, database: 'postgres' }

  const countApp = async () => {
    const { rows } = await admin.query<{ n: number }>(
      'select count(*)::int as n from pg_stat_activity where usename = $1',
      [APP.user],
    )
    return rows[0]?.n ?? 0
  }

  return {
    server,
    admin,
    address,
    countApp,
    gate: (): Gate => createGate(async () => ({ ...address, ...REAPER }), false),

    async hold(count: number): Promise<Held> {
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', SESSIONS, host, String(port), APP.user, APPLICATION, String(count)],
        { stdio: ['pipe', 'pipe', 'inherit'] },
      )
      const lines = createInterface({ input: child.stdout })
      await once(lines, 'line')
      return { closed: once(lines, 'line'), release: () => end(child, countApp) }
    },

    /** CPU time of the server's processes so far, including those that have ended, ms. */
    cpuMs: () => serverCpuMs(server.process.pid as number),

    async stop() {
      await admin.end()
      await server.stop()
    },
  }
}

export type BenchServer = Awaited<ReturnType<typeof benchServer>>

async function end(child: ChildProcess, countApp: () => Promise<number>): Promise<void> {
  child.stdin?.end()
  await once(child, 'exit')
  while ((await countApp()) > 0);
}

const TICK_MS = 10

/** The fields of `/proc/PID/stat`, beginning with the fourth (proc(5)). */
function statOf(pid: string | number): number[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text
    .replace(/^.*\) . /, '')
    .split(' ')
    .map(Number)
}

/** CPU time of a process with all its threads, ms, to the nearest 10 ms. */
export function threadsCpuMs(pid: number): number {
  const [, , , , , , , , , , utime = 0, stime = 0] = statOf(pid)
  return (utime + stime) * TICK_MS
}

function serverCpuMs(postmaster: number): number {
  const [, , , , , , , , , , , , ofEndedUser = 0, ofEndedSystem = 0] = statOf(postmaster)
  let cpuMs = threadsCpuMs(postmaster) + (ofEndedUser + ofEndedSystem) * TICK_MS
  for (const pid of readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    try {
      if (statOf(pid)[0] === postmaster) cpuMs += threadsCpuMs(pid)
    } catch {
      // It has ended since it was listed, and now counts among the ended children.
    }
  }
  return cpuMs
}

/** CPU time of a process's first thread, ms, with nanosecond precision (`/proc/PID/schedstat`). */
export function processCpuMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
}
