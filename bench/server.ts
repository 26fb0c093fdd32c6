import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { createGate, type Gate } from '../lambda/postgres/gate.ts'
import { startPostgres } from '../stand-ins/postgres.ts'
import { trust } from '../test/support/trust.ts'
import { type Held, startHolder } from './holder.ts'

const PASSWORD = 'a password for the bench'

export const APP = { user: 'shop_app', password: PASSWORD }
export const REAPER = { user: 'slotkeeper', password: PASSWORD }
export const APPLICATION = 'bench'

const PAUSE_MS = 5

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

  const holder = startHolder(server, APP.user, APPLICATION)

  /** A session tells its client that it is idle shortly before it waits for the client. */
  const countWaiting = async () => {
    const { rows } = await admin.query<{ n: number }>(
      "select count(*)::int as n from pg_stat_activity where usename = $1 and wait_event = 'ClientRead'",
      [APP.user],
    )
    return rows[0]?.n ?? 0
  }

  return {
    server,
    admin,
    address,
    gate: (): Gate => createGate(async () => ({ ...address, ...REAPER }), false),

    /** Idle sessions of the application. */
    async hold(count: number): Promise<Held> {
      const held = await holder.hold(count)
      while ((await countWaiting()) < count) await pause(PAUSE_MS)
      return held
    },

    /** Waits until no session of the application is left. Nothing may be measured meanwhile. */
    async untilNoneIsLeft(): Promise<void> {
      while ((await countApp()) > 0) await pause(PAUSE_MS)
    },

    async stop() {
      await holder.stop()
      await admin.end()
      await server.stop()
    },
  }
}

export type BenchServer = Awaited<ReturnType<typeof benchServer>>

/** CPU time of a process's first thread, ms, with nanosecond precision (`/proc/PID/schedstat`). */
export function processCpuMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
}
