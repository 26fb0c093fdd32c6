// PgBouncer between an application and the server: what a sweep sees of it, and what a reap does to its clients.
import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Report } from '../../../lambda/core/report.ts'
import { createGate, deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { pgbouncer, startPgBouncer } from '../../support/pgbouncer.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('app')

const idleNow = { name: 'idle', state: 'idle', olderThan: '0s' } as const
const stuckNow = { name: 'stuck', state: 'idle in transaction', olderThan: '0s' } as const

/** Ends what these rules select, and waits until it has gone. */
async function reap(input: Parameters<typeof policy>[0]): Promise<Report> {
  const gate = createGate(async () => db.credentials(reaper), false)
  try {
    const order = { target: 'test', policy: policy(input), mode: 'reap' as const }
    const { report } = await sweep(gate, order, deadlineIn(SWEEP_MS))
    await until(async () => {
      const pids = report.reaped.map(({ pid }) => pid)
      return !(await sessions()).some(({ pid }) => pids.includes(pid))
    })
    return report
  } finally {
    await gate.close()
  }
}

type Row = { pid: number; application: string; state: string; query: string }

async function sessions(): Promise<Row[]> {
  const { rows } = await db.admin.query<Row>(
    `select pid, application_name as application, state, query from pg_stat_activity where usename = 'app'`,
  )
  return rows
}

/** A client of PgBouncer, and the error that its connection met while nobody asked it anything. */
async function connect(port: number, application: string) {
  const client = new Client({
    host: '127.0.0.1',
    port,
    database: 'postgres',
    ...app,
    application_name: application,
  })
  let lost: Error | undefined
  client.on('error', (error) => {
    lost = error
  })
  await client.connect()
  onTestFinished(() => client.end().catch(() => undefined))
  return { client, lost: () => lost }
}

/** Starts PgBouncer with one connection to the server, which has no session of an earlier one. */
async function start(...settings: string[]): Promise<number> {
  await db.admin.query(
    `select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'app'`,
  )
  const port = await startPgBouncer(pgbouncer ?? '', db.server, app, [
    'default_pool_size = 1',
    ...settings,
  ])
  await until(async () => {
    try {
      const { client } = await connect(port, 'is it there')
      await client.end()
      return true
    } catch {
      return false
    }
  })
  return port
}

const settled = (state: string) =>
  until(async () => (await sessions()).some((session) => session.state === state))

describe.skipIf(pgbouncer === undefined)('transaction mode', async () => {
  const mode = 'pool_mode = transaction'

  test('a client at rest does not notice that the connection behind it was ended', async () => {
    const { client, lost } = await connect(await start(mode), 'checkout')
    for (let times = 1; times <= 3; times++) {
      await client.query('select 1')
      await settled('idle')
      expect((await reap({ rules: [idleNow] })).reaped).toHaveLength(1)
    }
    await client.query('select 1')
    expect(lost()).toBeUndefined()
  })

  test('a sweep sees the name of the client that used the connection last, also when it has gone', async () => {
    const { client } = await connect(await start(mode), 'checkout')
    await client.query('select 1')
    await client.end()
    await settled('idle')
    expect(await sessions()).toMatchObject([{ application: 'checkout' }])
    const { reaped } = await reap({ rules: [idleNow] })
    expect(reaped).toMatchObject([{ user: 'app', application: 'checkout', client: '127.0.0.1' }])
  })

  test('its address protects it', async () => {
    const { client } = await connect(await start(mode), 'checkout')
    await client.query('select 1')
    await settled('idle')
    const { reaped, spared } = await reap({
      scope: { users: ['app'] },
      rules: [idleNow],
      protect: [{ clients: ['127.0.0.1/32'] }],
    })
    expect(reaped).toEqual([])
    expect(spared).toMatchObject({ protected: 1 })
  })

  test('a transaction that is ended fails, and takes the connection of its client', async () => {
    const { client } = await connect(await start(mode), 'checkout')
    await client.query('begin')
    await settled('idle in transaction')
    expect((await reap({ rules: [stuckNow] })).reaped).toHaveLength(1)
    await expect(client.query('select 1')).rejects.toThrow()
  })
})

describe.skipIf(pgbouncer === undefined)('session mode', async () => {
  const mode = 'pool_mode = session'

  test('a client at rest loses the session that it holds', async () => {
    const { client } = await connect(await start(mode), 'checkout')
    await client.query('select 1')
    await settled('idle')
    expect((await reap({ rules: [idleNow] })).reaped).toHaveLength(1)
    await expect(client.query('select 1')).rejects.toThrow()
  })

  test('a connection that belongs to nobody shows DISCARD ALL and no name, and nobody notices its end', async () => {
    const port = await start(mode)
    const { client } = await connect(port, 'checkout')
    await client.query('select 1')
    await client.end()
    await until(async () => (await sessions())[0]?.query === 'DISCARD ALL')
    expect(await sessions()).toMatchObject([{ application: '', state: 'idle' }])
    expect((await reap({ rules: [idleNow] })).reaped).toHaveLength(1)
    const next = await connect(port, 'next')
    await next.client.query('select 1')
    expect(next.lost()).toBeUndefined()
  })

  test('client_idle_timeout ends a client without a server connection, and none that holds one', async () => {
    const port = await start(mode, 'client_idle_timeout = 1')
    const holder = await connect(port, 'holder')
    await holder.client.query('select 1')
    const waiting = await connect(port, 'waiting')
    await until(() => waiting.lost() !== undefined)
    await holder.client.query('select 1')
    expect(holder.lost()).toBeUndefined()
  })
})

describe.skipIf(pgbouncer === undefined).each(['transaction', 'session'])('%s mode', (mode) => {
  test('server_idle_timeout closes what a rule with a longer age would end', async () => {
    const port = await start(`pool_mode = ${mode}`, 'server_idle_timeout = 1')
    const { client } = await connect(port, 'checkout')
    await client.query('select 1')
    if (mode === 'session') await client.end()
    await until(async () => (await sessions()).length === 0)
    const { reaped } = await reap({ rules: [{ ...idleNow, olderThan: '30s' }] })
    expect(reaped).toEqual([])
    const other = mode === 'session' ? (await connect(port, 'next')).client : client
    await other.query('select 1')
  })
})
