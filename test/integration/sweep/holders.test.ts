import { afterEach, describe, expect, test } from 'vitest'
import type { WrittenPolicy } from '../../../lambda/core/policy.ts'
import type { Report } from '../../../lambda/core/report.ts'
import { createGate, deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { MAJOR, REAPER_ROLES, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const db = await testServer({
  max_connections: '40',
  max_prepared_transactions: '2',
  wal_level: 'logical',
})
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app', [], 'replication')
const peer = await db.role('shop_peer')
const START_BACKUP =
  MAJOR >= 15 ? 'pg_backup_start(text, boolean)' : 'pg_start_backup(text, boolean, boolean)'
await db.admin.query(`
  create extension dblink;
  create extension postgres_fdw;
  create table stock as select 1 as item;
  grant all on stock to shop_app, shop_peer;
  grant execute on function ${START_BACKUP} to shop_app;
  create server loop foreign data wrapper postgres_fdw
    options (host '127.0.0.1', port '${db.server.port}', dbname 'postgres');
  create user mapping for shop_app server loop
    options (user '${peer.user}', password '${peer.password}');
  create foreign table remote (item int) server loop options (table_name 'stock');
  grant all on remote to shop_app;
  grant usage on foreign server loop to shop_app`)
const DBLINK = `host=127.0.0.1 port=${db.server.port} dbname=postgres user=${peer.user} password=''${peer.password}''`

const IDLE_AT_ONCE: WrittenPolicy = {
  scope: { users: ['shop_*'] },
  rules: [{ name: 'idle', state: 'idle', olderThan: '0s' }],
}

async function run(input: Partial<WrittenPolicy> = {}): Promise<Report> {
  const gate = createGate(async () => db.credentials(reaper), false)
  try {
    const { report } = await sweep(
      gate,
      { target: 'test', policy: policy({ ...IDLE_AT_ONCE, ...input }), mode: 'reap' },
      deadlineIn(SWEEP_MS),
    )
    return report
  } finally {
    await gate.close()
  }
}

const pidsOf = ({ reaped }: Report) => reaped.map(({ pid }) => pid)

async function isThere(query: string): Promise<boolean> {
  return (await db.admin.query(query)).rows.length > 0
}

/** The session that another one holds on this server. */
async function peerOf(application: string): Promise<number> {
  const { rows } = await db.admin.query<{ pid: number }>(
    'select pid from pg_stat_activity where usename = $1 and application_name = $2',
    [peer.user, application],
  )
  expect(rows).toHaveLength(1)
  const pid = rows[0]?.pid as number
  await db.settled(pid)
  return pid
}

afterEach(async () => {
  await db.admin.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where usename like 'shop%'",
  )
  await until(
    async () => !(await isThere("select from pg_stat_activity where usename like 'shop%'")),
  )
})

describe('an idle session is ended when the server does not show what it holds', () => {
  const startBackup = START_BACKUP.startsWith('pg_backup')
    ? "select pg_backup_start('nightly', true)"
    : "select pg_start_backup('nightly', true, false)"

  test.each([
    ['a cursor WITH HOLD', ['declare c cursor with hold for select 1', 'select 1']],
    ['a temporary table', ['create temp table basket as select 1', 'select 1']],
    ['prepared statements and settings', ['prepare p as select 1', "set work_mem = '64kB'"]],
    ['LISTEN before another query', ['listen orders', 'select 1']],
    ['a backup before another query', [startBackup, 'select 1']],
  ])('%s', async (_, statements) => {
    const holder = await db.open(app, 'php', ...statements)
    expect(pidsOf(await run())).toEqual([holder.pid])
    await holder.ended
  })
})

describe('what an ended idle session left on the server stays', () => {
  test('a prepared transaction can be committed by another session', async () => {
    const prepare = "insert into stock values (2); prepare transaction 'order 1'"
    const coordinator = await db.open(app, 'php', `begin; ${prepare}`)
    expect(pidsOf(await run())).toEqual([coordinator.pid])
    await db.admin.query("commit prepared 'order 1'")
    expect(await isThere('select from stock where item = 2')).toBe(true)
  })

  test('a permanent replication slot can be read by SQL', async () => {
    const reader = await db.open(
      app,
      'php',
      "select pg_create_logical_replication_slot('changes', 'test_decoding')",
      "select * from pg_logical_slot_get_changes('changes', null, null)",
    )
    expect(pidsOf(await run())).toEqual([reader.pid])
    await reader.ended
    const free = "select from pg_replication_slots where slot_name = 'changes' and not active"
    expect(await isThere(free)).toBe(true)
    await db.admin.query("select pg_drop_replication_slot('changes')")
  })
})

describe('a session opened by a server', () => {
  const peersOnly = { scope: { users: [peer.user] } }

  test('by postgres_fdw is opened again by the next query', async () => {
    const leader = await db.open(app, 'php', 'select * from remote')
    const pid = await peerOf('postgres_fdw')
    expect(pidsOf(await run(peersOnly))).toEqual([pid])
    const { rows } = await leader.client.query('select from remote')
    expect(rows.length).toBeGreaterThan(0)
  })

  test('by dblink is not opened again, and the next query fails', async () => {
    const leader = await db.open(app, 'php', `select dblink_connect('link', '${DBLINK}')`)
    const pid = await peerOf('')
    expect(pidsOf(await run(peersOnly))).toEqual([pid])
    const query = "select * from dblink('link', 'select 1') as t (i int)"
    await expect(leader.client.query(query)).rejects.toThrow()
  })

  test('is spared when its role is protected, by either', async () => {
    await db.open(app, 'php', 'select * from remote')
    await db.open(app, 'php', `select dblink_connect('link', '${DBLINK}')`)
    await peerOf('postgres_fdw')
    await peerOf('')
    const report = await run({ ...peersOnly, protect: [{ users: [peer.user] }] })
    expect(report).toMatchObject({ reaped: [], spared: { protected: 2 } })
  })
})

test('a rule for idle sessions never matches a session with an open transaction', async () => {
  const inTransaction = [
    ['begin isolation level repeatable read', 'select pg_export_snapshot()'],
    ['begin', 'select * from stock for update'],
    ['begin', 'lock table stock in row share mode'],
    ['begin', 'select pg_advisory_xact_lock(1)'],
    ['begin', 'declare c cursor for select 1'],
    // A worker of pg_dump, between two tables.
    ['begin isolation level repeatable read read only'],
  ]
  const holders = await Promise.all(
    inTransaction.map((statements) => db.open(app, 'php', ...statements)),
  )
  expect(pidsOf(await run())).toEqual([])
  expect(holders.every(({ isAlive }) => isAlive())).toBe(true)
  const stuck = { name: 'stuck', state: 'idle in transaction', olderThan: '0s' } as const
  const report = await run({ rules: [stuck] })
  expect(report.spared.advisoryLock).toBe(1)
  expect(report.reaped).toHaveLength(holders.length - 1)
})

describe('a session that holds more than the server shows is protected by', () => {
  const hold = ['declare c cursor with hold for select 1', 'select 1']

  test('an application name that the policy protects', async () => {
    const holder = await db.open(app, 'php', "set application_name = 'report 7'", ...hold)
    const report = await run({ protect: [{ applications: ['report*'] }] })
    expect(report).toMatchObject({ reaped: [], spared: { protected: 1 } })
    expect(holder.isAlive()).toBe(true)
  })

  test('its own role, which the policy protects', async () => {
    const holder = await db.open(app, 'php', ...hold)
    const report = await run({ protect: [{ users: [app.user] }] })
    expect(report).toMatchObject({ reaped: [], spared: { protected: 1 } })
    expect(holder.isAlive()).toBe(true)
  })

  test('a shared advisory lock', async () => {
    const lock = "select pg_advisory_lock_shared(hashtext('do not reap'))"
    const holders = [await db.open(app, 'php', lock, ...hold), await db.open(app, 'php', lock)]
    const report = await run()
    expect(report).toMatchObject({ reaped: [], spared: { advisoryLock: 2 } })
    expect(holders.every(({ isAlive }) => isAlive())).toBe(true)
  })

  test('a short open transaction', async () => {
    const holder = await db.open(app, 'php', 'begin', 'create temp table basket as select 1')
    expect(pidsOf(await run())).toEqual([])
    expect(holder.isAlive()).toBe(true)
  })
})
