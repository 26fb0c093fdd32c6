import { EventEmitter, once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import type { Entry } from '../../lambda/core/report.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../lambda/postgres/entry.ts'
import { type Swept, sweep } from '../../lambda/sweep.ts'
import { MAJOR, REAPER_ROLES, type Role, testServer, until } from '../support/server.ts'
import { policy } from '../support/session.ts'

const SLOTS = 20
const RESERVED = 3 + (MAJOR >= 16 ? 2 : 0)
const USABLE = SLOTS - RESERVED
const SETTLED = "backend_type = 'client backend' and state = any('{idle,active}')"
const STORM_CLIENTS = 24
const RETRY_MS = 100
const GIVEN_BACK_MS = 1_000

const db = await testServer({
  max_connections: String(SLOTS),
  superuser_reserved_connections: '3',
  max_wal_senders: '1',
  ...(MAJOR >= 16 ? { reserved_connections: '2' } : {}),
})
const app = await db.role('shop_app')
await db.trust(app)
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
afterEach(async () => {
  await gate.close()
  await until(async () => (await count("application_name = 'slotkeeper'")) === 0)
})

function run(): Promise<Swept> {
  return sweep(gate, { target: 'test', policy: everyIdle, mode: 'reap' }, deadlineIn(SWEEP_MS))
}

/** Sweeps anew where the storm happens to authenticate on every slot of the reserve. */
async function getIn(): Promise<Swept> {
  for (;;) {
    const swept = await run().catch((error: SlotkeeperError) => error)
    if (!(swept instanceof SlotkeeperError)) return swept
    if (swept.kind !== 'exhausted') throw swept
  }
}

const gateOf = (role: Role) => createGate(async () => db.credentials(role), false)

async function count(which: string): Promise<number> {
  const { rows } = await db.admin.query<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity where ${which}`,
  )
  return rows[0]?.n ?? 0
}

async function isGivenBack(): Promise<void> {
  await until(
    async () => (await count("backend_type = 'walsender' and usename = 'replicator'")) === 0,
    GIVEN_BACK_MS,
  )
}

/**
 * Connects as an application, and holds the slot until the session is ended or `over`.
 * @returns the SQLSTATE of a refusal, or nothing where it got in
 */
async function holdSlot(over: Promise<void>): Promise<string | undefined> {
  const client = new Client({ connectionString: db.server.url(app), application_name: 'storm' })
  const ended = new Promise((resolve) => client.on('error', resolve))
  try {
    await client.connect()
    await Promise.race([ended, over])
    return undefined
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * Clients that take every slot that ordinary roles can, and come back at once wherever they are ended
 * or refused. While they authenticate, those who are refused later take slots of the reserve too.
 */
async function storm(during: () => Promise<void>): Promise<void> {
  let isOver = false
  const passing = new EventEmitter()
  const over = once(passing, 'over').then(() => {
    isOver = true
  })
  const clients: Promise<void>[] = []
  const join = async () => {
    while (!isOver) if ((await holdSlot(over)) !== undefined) await pause(RETRY_MS)
  }
  try {
    // One after another, as those who come at once can keep each other out.
    for (let taken = await count(SETTLED); taken < USABLE; taken++) {
      clients.push(join())
      await until(async () => (await count(SETTLED)) > taken)
    }
    while (clients.length < STORM_CLIENTS) clients.push(join())
    await during()
  } finally {
    passing.emit('over')
    await Promise.all(clients)
  }
}

/** An application that wants one session, and asks again as often as the storm does. */
async function newcomer(): Promise<void> {
  while ((await holdSlot(Promise.resolve())) !== undefined) await pause(RETRY_MS)
}

describe('in a storm that takes every slot back at once, the server is brought back', () => {
  const ways: [string, Role, Entry][] = [
    ['over the kept connection', plain, 'warm'],
    ["through a walsender's slot", replicator, 'walsender'],
    ...(MAJOR >= 16
      ? ([['by a slot of the reserve', privileged, 'client']] as [string, Role, Entry][])
      : []),
  ]

  test.each(ways)('%s', async (_, role, entry) => {
    gate = gateOf(role)
    if (entry === 'warm') await run()
    await storm(async () => {
      const { report } = await getIn()
      expect(report.entry).toBe(entry)
      expect(report.reaped.length).toBeGreaterThan(0)
      expect(report.refused).toEqual([])
      await isGivenBack()
      // The storm takes back what was freed, and an application still gets its turn.
      let isServed = false
      const serving = newcomer().then(() => {
        isServed = true
      })
      while (!isServed) await getIn()
      await serving
    })
    await isGivenBack()
  })
})

describe('with none of these ways it fails, and says which grant is missing', () => {
  const missing = /53300.*REPLICATION.*rds_replication.*pg_use_reserved_connections/

  test('a role without any', async () => {
    gate = gateOf(plain)
    await storm(async () => {
      await expect(run()).rejects.toMatchObject({ kind: 'exhausted', message: missing })
      expect(gate.metFullServer()).toBe(true)
    })
  })

  test("where the walsenders' slots are all taken as well", async () => {
    const config = { connectionString: db.server.url(), replication: 'database' }
    const replica = new Client(config)
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
    await replica.end()
  })
})
