import { afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { FREE_SLOTS, WHO_HOLDS } from '../../../cli/doctor/no-way-in.ts'
import { diagnoseAs, found, sqlOf } from '../../support/doctor.ts'
import {
  type OtherSession,
  REAPER_ROLES,
  type Role,
  testServer,
  until,
} from '../../support/server.ts'

// Findings that need no age. 17 usable slots.
const USABLE = 17
const db = await testServer({
  max_connections: String(USABLE + 3),
  max_wal_senders: '2',
  deadlock_timeout: '100ms',
})
let app: Role
let plain: Role
let replicator: Role

beforeAll(async () => {
  app = await db.role('shop_app')
  await db.trust(app)
  plain = await db.role('plain', REAPER_ROLES)
  replicator = await db.role('replicator', REAPER_ROLES, 'replication')
})
afterEach(() => db.endAll())

async function open(count: number, role = app, application = 'php'): Promise<OtherSession[]> {
  const sessions: OtherSession[] = []
  for (let index = 0; index < count; index += 1) {
    sessions.push(await db.open(role, application, 'select 1'))
  }
  return sessions
}

const ids = ({ findings }: Awaited<ReturnType<typeof diagnoseAs>>) => findings.map(({ id }) => id)

describe('full', () => {
  test('a role with a way in says so', async () => {
    await db.fill(app)
    const diagnosis = await diagnoseAs(db, replicator, 1)
    expect(diagnosis.findings[0]).toMatchObject({ id: 'full', severity: 'critical' })
    expect(diagnosis.slots).toMatchObject({ available: 0, max: USABLE + 3, reserved: 3 })
    expect(ids(diagnosis)).not.toContain('no-way-in')
    expect(ids(diagnosis)).not.toContain('nearly-full')
  })

  test('one that has none gets no answer, and hears of the grant', async () => {
    await db.fill(app)
    await expect(diagnoseAs(db, plain, 1)).rejects.toMatchObject({
      kind: 'exhausted',
      message: expect.stringContaining('REPLICATION'),
    })
  })

  test('the SQL of that answer ends idle sessions, and spares what would lose more', async () => {
    const [victim] = await open(1)
    const spared = [
      await db.open(app, 'listener', 'listen orders'),
      await db.open(app, 'migration', 'select pg_advisory_lock(1)'),
      await db.open(app, 'transaction', 'begin', 'select 1'),
      await db.open(
        replicator,
        'polls a slot',
        "select pg_create_physical_replication_slot('polled', true, true)",
      ),
    ]
    expect((await db.admin.query(WHO_HOLDS)).rows.length).toBeGreaterThan(3)
    expect((await db.admin.query(FREE_SLOTS)).rows).toEqual([{ count: '0' }])
    const { rows } = await db.admin.query(FREE_SLOTS.replace('5min', '0'))
    expect(rows).toEqual([{ count: '1' }])
    await victim?.ended
    for (const session of spared) expect(session.isAlive()).toBe(true)
  })

  test('with a slot left it is nearly full', async () => {
    // The administrator has a session too, and the doctor takes one.
    await open(USABLE - 2)
    const diagnosis = await diagnoseAs(db, replicator, 1)
    expect(ids(diagnosis)).toContain('nearly-full')
    expect(ids(diagnosis)).not.toContain('full')
  })

  test('at 80 % it is not', async () => {
    await open(Math.floor(USABLE * 0.8) - 2)
    const diagnosis = await diagnoseAs(db, replicator, 1)
    expect(diagnosis.slots.usedPercent).toBeLessThanOrEqual(80)
    expect(ids(diagnosis)).not.toContain('nearly-full')
  })
})

describe('no-way-in', () => {
  test('the remedy lets the role in on a full server', async () => {
    const role = await db.role('outsider', REAPER_ROLES)
    const before = await diagnoseAs(db, role, 1)
    const [finding] = found(before, 'no-way-in')
    expect(finding).toMatchObject({ severity: 'info' })
    for (const sql of sqlOf(finding)) await db.admin.query(sql)
    await db.fill(app)
    const after = await diagnoseAs(db, role, 1)
    expect(ids(after)).toContain('full')
    expect(ids(after)).not.toContain('no-way-in')
  })
})

describe('blocking', () => {
  beforeAll(() => db.admin.query('create table orders (); grant all on orders to shop_app'))

  async function block(): Promise<OtherSession> {
    const [holder, waiter] = await open(2)
    await holder?.client.query('begin; lock table orders')
    const waiting = waiter?.client.query('select from orders').catch(() => undefined)
    onTestFinished(async () => {
      await waiting
    })
    return holder as OtherSession
  }

  test('names both sides, and the remedy lets the other go on', async () => {
    const holder = await block()
    await until(async () => {
      const { rows } = await db.admin.query(
        "select from pg_locks where not granted and waitstart < clock_timestamp() - interval '5 s'",
      )
      return rows.length > 0
    })
    const [finding] = found(await diagnoseAs(db, plain, 1), 'blocking')
    expect(finding).toMatchObject({
      severity: 'critical',
      evidence: { blocker: { pid: holder.pid }, waitingCount: 1 },
    })
    for (const sql of sqlOf(finding)) await db.admin.query(sql)
    await holder.ended
    expect(found(await diagnoseAs(db, plain, 1), 'blocking')).toEqual([])
  })

  test('a short wait is none', async () => {
    await block()
    expect(found(await diagnoseAs(db, plain, 1), 'blocking')).toEqual([])
  })
})

describe('churn and filling', () => {
  /** Changes the sessions while the doctor watches, each time that it has looked. */
  async function whileWatching(change: () => Promise<unknown>, forMs: number) {
    let over = false
    let seen = ''
    const changes = (async () => {
      while (!over) {
        const { rows } = await db.admin.query<{ at: string }>(
          "select query_start::text as at from pg_stat_activity where application_name = 'slotkeeper'",
        )
        const at = rows[0]?.at ?? ''
        if (at !== seen) await change()
        seen = at
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    })()
    const diagnosis = await diagnoseAs(db, plain, forMs)
    over = true
    await changes
    return diagnosis
  }

  test('a pool that comes back as fast as it goes', async () => {
    const sessions = await open(6)
    const diagnosis = await whileWatching(async () => {
      await db.end(sessions.splice(0, 1))
      sessions.push(...(await open(1)))
    }, 5_000)
    const [finding] = found(diagnosis, 'churn')
    expect(finding).toMatchObject({ pool: { user: 'shop_app', application: 'php' } })
    const kinds = finding?.remedies.map(({ text }) => text).join('\n') ?? ''
    expect(kinds).toMatch(/pm\.max_children|DB::disconnect/)
    expect(kinds).toContain('default_pool_size')
    expect(ids(diagnosis)).not.toContain('filling')
    expect(diagnosis.pools[0]?.openedPerMinute).toBeGreaterThan(0)
  })

  test('one that only goes is none', async () => {
    const sessions = await open(8)
    const diagnosis = await whileWatching(() => db.end(sessions.splice(0, 1)), 2_000)
    expect(ids(diagnosis)).not.toContain('churn')
  })

  test('slots that run out, with the time that is left', async () => {
    await open(3)
    let count = 0
    const diagnosis = await whileWatching(async () => {
      count += 1
      if (count < 10) await open(1)
    }, 5_000)
    const [finding] = found(diagnosis, 'filling')
    expect(finding).toMatchObject({ severity: 'critical', pool: { user: 'shop_app' } })
    expect(finding?.evidence.minutesLeft).toBeGreaterThan(0)
    expect(finding?.evidence.minutesLeft).toBeLessThan(5)
    expect(ids(diagnosis)).not.toContain('churn')
  })
})

describe('abandoned', () => {
  async function vanish(database: string, count: number, gracefully: number) {
    await db.admin.query(`create database ${database}`)
    const { Client } = await import('pg')
    for (let index = 0; index < count + gracefully; index += 1) {
      const client = new Client({ connectionString: db.server.url(app, database) })
      client.on('error', () => undefined)
      await client.connect()
      const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } })
        .connection
      if (index < count) stream.destroy()
      else await client.end()
    }
    await until(async () => {
      const { rows } = await db.admin.query(
        'select sessions_abandoned::int as n from pg_stat_database where datname = $1',
        [database],
      )
      return rows[0]?.n === count
    })
  }

  test('clients that vanish, and the remedy', async () => {
    await vanish('vanishing', 10, 5)
    const [finding] = found(await diagnoseAs(db, plain, 1), 'abandoned')
    expect(finding?.evidence).toMatchObject({ database: 'vanishing', abandoned: 10, sessions: 15 })
    for (const sql of sqlOf(finding).join('\n').split('\n')) await db.admin.query(sql)
    await until(async () => {
      const { rows } = await db.admin.query(
        "select setting from pg_file_settings where name = 'tcp_keepalives_idle'",
      )
      return rows[0]?.setting === '60'
    })
  })

  test('a few among many are none', async () => {
    await vanish('polite', 9, 5)
    const findings = found(await diagnoseAs(db, plain, 1), 'abandoned')
    expect(findings.map(({ evidence }) => evidence.database)).not.toContain('polite')
  })
})
