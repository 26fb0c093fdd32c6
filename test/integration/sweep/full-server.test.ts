import { EventEmitter, once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Entry } from '../../../lambda/core/report.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { type SweepResult, sweep } from '../../../lambda/sweep.ts'
import { MAJOR, REAPER_ROLES, type Role, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const SLOTS = 20
const RESERVED = 3 + (MAJOR >= 16 ? 2 : 0)
const USABLE = SLOTS - RESERVED
const SETTLED = "backend_type = 'client backend' and state = any('{idle,active}')"
const RETRY_MS = 100

const db = await testServer({
  max_connections: String(SLOTS),
  superuser_reserved_connections: '3',
  max_wal_senders: '1',
  ...(MAJOR >= 16 ? { reserved_connections: '2' } : {}),
})
const app = await db.role('shop_app')
await db.trust(app)
const slow = await db.role('shop_slow')
const plain = await db.role('plain', REAPER_ROLES)
const privileged = await db.role('privileged', [
  ...REAPER_ROLES,
  ...(MAJOR >= 16 ? ['pg_use_reserved_connections'] : []),
])
const replicator = await db.role('replicator', REAPER_ROLES, 'replication')
const everyIdle = policy({
  scope: { users: ['shop_*'] },
  rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
})

let gate: Gate
afterEach(leave)

async function leave(): Promise<void> {
  await gate.close()
  await until(async () => (await count("application_name = 'slotkeeper'")) === 0)
}

function run(): Promise<SweepResult> {
  return sweep(gate, { target: 'test', policy: everyIdle, mode: 'reap' }, deadlineIn(SWEEP_MS))
}

const gateOf = (role: Role) => createGate(async () => db.credentials(role), false)

async function count(which: string): Promise<number> {
  const { rows } = await db.admin.query<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity where ${which}`,
  )
  return rows[0]?.n ?? 0
}

const isGivenBack = () =>
  until(async () => (await count("backend_type = 'walsender' and usename = 'replicator'")) === 0)

/** Holds a slot as an application until its session is ended or `over`; returns whether it got in. */
async function holdSlot(over: Promise<unknown>): Promise<boolean> {
  const client = new Client({ connectionString: db.server.url(app), application_name: 'storm' })
  const ended = new Promise((resolve) => client.on('error', resolve))
  try {
    await client.connect()
    await Promise.race([ended, over])
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * Clients that take every slot that ordinary roles can, and come back at once wherever they are ended
 * or refused.
 * @param during is called when all of them are in
 */
async function storm(during: () => Promise<void>): Promise<void> {
  let isOver = false
  const passing = new EventEmitter()
  const over = once(passing, 'over')
  const comeBack = async () => {
    while (!isOver) if (!(await holdSlot(over))) await pause(RETRY_MS)
  }
  const taken = await count(SETTLED)
  const clients = Array.from({ length: USABLE - taken }, comeBack)
  try {
    await refilled(USABLE)
    await during()
  } finally {
    isOver = true
    passing.emit('over')
    await Promise.all(clients)
  }
}

const refilled = (slots: number) => until(async () => (await count(SETTLED)) === slots)

/** Holds as many slots of the reserve by logins that do not come to their end, as storms have them. */
async function crowdTheDoor(logins: number): Promise<{ leave(): void }> {
  const crowd: Client[] = []
  const leave = () => {
    for (const { connection } of crowd) connection.stream.destroy()
  }
  onTestFinished(leave)
  while (crowd.length < logins) {
    const client = new Client({ ...db.credentials(slow), password: undefined })
    client.on('error', () => undefined)
    await new Promise<void>((resolve, reject) => {
      // Asked for when the server waits for it, and never told.
      Object.assign(client, {
        password: () => {
          resolve()
          return new Promise(() => undefined)
        },
      })
      client.connect().catch(reject)
    })
    crowd.push(client)
  }
  return { leave }
}

const ways: [string, Role, Entry, number][] = [
  ['over the kept connection', plain, 'warm', RESERVED],
  ["through a walsender's slot", replicator, 'walsender', RESERVED],
  ...(MAJOR >= 16
    ? ([['by a slot of the reserve', privileged, 'client', 0]] as [string, Role, Entry, number][])
    : []),
]

describe('each sweep gets in and frees slots while clients take every free slot at once', () => {
  test.each(ways)('%s', async (_, role, entry, logins) => {
    gate = gateOf(role)
    if (entry === 'warm') await run()
    await storm(async () => {
      const door = await crowdTheDoor(logins)
      for (let sweeps = 1; sweeps <= 2; sweeps += 1) {
        const { report } = await run()
        expect(report).toMatchObject({ entry, refused: [] })
        expect(report.reaped.length).toBeGreaterThan(0)
        await isGivenBack()
        await until(async () => (await count(`${SETTLED} and backend_start > '${report.at}'`)) > 0)
        // Its own session does not make room for the next one.
        if (entry !== 'warm') await leave()
        // Whatever holds a slot of the reserve, as many are kept free as it has.
        await refilled(USABLE - logins)
      }
      door.leave()
    })
  })
})

if (MAJOR >= 16) {
  test('pending logins can hold all reserved slots, and a later sweep gets in', async () => {
    gate = gateOf(privileged)
    await storm(async () => {
      const door = await crowdTheDoor(RESERVED)
      await expect(run()).rejects.toMatchObject({ kind: 'exhausted' })
      door.leave()
      await until(() =>
        run().then(
          ({ report }) => report.entry === 'client',
          () => false,
        ),
      )
    })
  })
}

describe('fails and names the missing GRANT', () => {
  const missing = /53300.*REPLICATION.*rds_replication.*pg_use_reserved_connections/

  test('for a role without any way in', async () => {
    gate = gateOf(plain)
    await storm(async () => {
      await expect(run()).rejects.toMatchObject({ kind: 'exhausted', message: missing })
      expect(gate.metFullServer()).toBe(true)
    })
  })

  test('when all walsender slots are taken as well', async () => {
    const config = { connectionString: db.server.url(), replication: 'database' }
    const replica = new Client(config)
    onTestFinished(() => replica.end())
    await replica.connect()
    gate = gateOf(replicator)
    await storm(async () => {
      await expect(run()).rejects.toMatchObject({
        kind: 'exhausted',
        message: expect.stringMatching(/max_wal_senders/),
      })
      expect(gate.metFullServer()).toBe(true)
    })
    expect(await count("backend_type = 'walsender'")).toBe(1)
  })
})
