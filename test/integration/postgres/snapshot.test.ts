import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Session } from '../../../lambda/core/session.ts'
import { connect } from '../../../lambda/postgres/connect.ts'
import { preflight } from '../../../lambda/postgres/preflight.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { MAJOR, REAPER_ROLES, testServer, until } from '../../support/server.ts'

const LOOK_MS = 5_000
const HANGS_MS = 60_000
const QUERY_SIZE = 20_000

const db = await testServer({
  max_connections: '40',
  ...(MAJOR >= 16 ? { reserved_connections: '2' } : {}),
  // RDS has this setting; elsewhere it is a name of no meaning to the server.
  'rds.rds_superuser_reserved_connections': '4',
  wal_level: 'logical',
  max_prepared_transactions: '2',
  track_activity_query_size: String(QUERY_SIZE),
})
// Known by it for an RDS server.
await db.role('rds_superuser')
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')

async function look() {
  const link = await db.link(reaper)
  try {
    return await takeSnapshot(link, LOOK_MS)
  } finally {
    await link.close()
  }
}

const find = (sessions: Session[], pid: number) => sessions.find((session) => session.pid === pid)

test('reads the version, its own identity and all reserved slots', async () => {
  const before = Date.now()
  const snapshot = await look()
  const after = Date.now()
  expect(snapshot.serverVersion).toBeGreaterThan(140000)
  expect(snapshot.ownUser).toBe('reaper')
  expect(snapshot.slots).toEqual({ max: 40, reserved: 3 + (MAJOR >= 16 ? 2 : 0) + 4 })
  // To the millisecond, of which the clock here tells the whole ones.
  expect(snapshot.atMs).toBeGreaterThanOrEqual(before)
  expect(snapshot.atMs).toBeLessThan(after + 1)
  expect(find(snapshot.sessions, snapshot.ownPid)).toMatchObject({
    application: 'slotkeeper',
    user: 'reaper',
    state: 'active',
  })
})

test('reads whether its role may signal other sessions', async () => {
  const signals = async (role: Parameters<typeof db.link>[0]) => {
    const link = await db.link(role)
    const { maySignal } = await takeSnapshot(link, LOOK_MS)
    await link.close()
    return maySignal
  }
  expect(await signals(reaper)).toBe(true)
  expect(await signals(await db.role('mighty', [], 'superuser'))).toBe(true)
  const weak = await db.role('weak', ['pg_monitor'])
  expect(await signals(weak)).toBe(false)
  // A member that does not inherit may take on the right, and does not have it.
  if (MAJOR >= 16) {
    await db.admin.query('grant pg_signal_backend to weak with inherit false')
    expect(await signals(weak)).toBe(false)
  }
})

test('reports a session as the server does, with timestamps to the microsecond', async () => {
  const { pid } = await db.open(app, 'php-fpm', 'select 1')
  const session = find((await look()).sessions, pid)
  expect(session).toMatchObject({
    user: 'shop_app',
    database: 'postgres',
    application: 'php-fpm',
    client: '127.0.0.1',
    state: 'idle',
    superuser: false,
    listening: false,
    advisoryLock: null,
    transactionSeconds: null,
  })
  const { rows } = await db.admin.query(
    "select date_part('epoch', backend_start)::text as b, date_part('epoch', state_change)::text as s from pg_stat_activity where pid = $1",
    [pid],
  )
  expect(session).toMatchObject({ backendStart: rows[0].b, stateChange: rows[0].s })
  expect(session?.stateChange).toMatch(/^\d+(\.\d{1,6})?$/)
  expect(session?.ageSeconds).toBeGreaterThan(0)
})

test.each([
  [
    'a transaction',
    'begin',
    { state: 'idle in transaction', transactionSeconds: expect.any(Number) },
  ],
  ['LISTEN', 'listen orders', { listening: true }],
  ['listen after a comment', '/* tagged */  LISTEN orders', { listening: true }],
  ['a word that only begins like it', "select 'listen' as listener", { listening: false }],
])('sees %s', async (_, sql, expected) => {
  const { pid } = await db.open(app, 'one', sql)
  expect(find((await look()).sessions, pid)).toMatchObject(expected)
})

test('finds the holders of advisory locks in all databases, and no other sessions', async () => {
  await db.admin.query('create database elsewhere')
  const stranger = await connect(db.credentials(app, 'elsewhere'), false, 'client', LOOK_MS)
  const [[{ pid: elsewhere }]] = (await stranger.query(
    'select pg_backend_pid() as pid, pg_advisory_lock_shared(1, 2)',
    LOOK_MS,
  )) as [[{ pid: number }]]
  const holder = await db.open(app, 'holder', 'select pg_advisory_lock(7)')
  const waiting = await db.open(app, 'waiting')
  const granted = waiting.client.query('select pg_advisory_lock(7)')
  await db.open(app, 'of another kind', 'begin; lock table pg_class in access share mode')
  await until(async () => (await db.stateOf(waiting.pid)) === 'active')

  const link = await db.link(reaper)
  expect((await preflight(link, LOOK_MS)).advisoryLocks).toEqual(new Set([holder.pid, elsewhere]))
  await holder.client.query('select pg_advisory_unlock(7)')
  await granted
  expect((await preflight(link, LOOK_MS)).advisoryLocks).toEqual(new Set([waiting.pid, elsewhere]))
  await Promise.all([link.close(), stranger.close()])
})

test('sees an aborted transaction', async () => {
  const { client, pid } = await db.open(app, 'aborted')
  await client.query('begin')
  await expect(client.query('select 1 / 0')).rejects.toThrow('division')
  await db.settled(pid)
  expect(find((await look()).sessions, pid)).toMatchObject({
    state: 'idle in transaction (aborted)',
  })
})

test('sees a session of a superuser, over the Unix socket', async () => {
  const folder = (await db.admin.query('show unix_socket_directories')).rows[0]
    .unix_socket_directories
  const client = new Client({
    host: folder,
    port: db.server.port,
    user: 'postgres',
    password: db.server.password,
  })
  await client.connect()
  const { pid } = (await client.query('select pg_backend_pid() as pid')).rows[0]
  expect(find((await look()).sessions, pid)).toMatchObject({ superuser: true, client: 'local' })
  await client.end()
})

test('reports no age when track_activities is off', async () => {
  const untracked = await db.role('untracked')
  await db.admin.query('alter role untracked set track_activities = off')
  const { pid } = await db.open(untracked, 'untracked')
  expect(find((await look()).sessions, pid)).toMatchObject({
    state: 'disabled',
    ageSeconds: null,
    stateChange: null,
  })
})

test('leaves out walsenders, which are also idle between commands', async () => {
  const config = { connectionString: db.server.url(), replication: 'database' }
  const walsender = new Client(config)
  await walsender.connect()
  const { pid } = (await walsender.query('select pg_backend_pid() as pid')).rows[0]
  expect(await db.stateOf(pid)).toBe('idle')
  expect(find((await look()).sessions, pid)).toBeUndefined()
  await walsender.end()
})

test('never reads query texts', async () => {
  await db.open(app, 'secretive', "select 'a text that stays on the server'")
  expect(JSON.stringify(await look())).not.toContain('stays on the server')
})

test('reports a role that sees no sessions, with the missing GRANT', async () => {
  const blind = await db.role('o"dd blïnd röle')
  const link = await db.link(blind)
  await expect(takeSnapshot(link, LOOK_MS)).rejects.toMatchObject({
    kind: 'blind',
    message: expect.stringContaining('GRANT pg_monitor TO "o""dd blïnd röle"'),
  })
  await link.close()
})

describe('a statement that may contain LISTEN', () => {
  const sessionOf = async (pid: number) => find((await look()).sessions, pid)

  test.each<[boolean, string]>([
    [true, 'LISTEN orders'],
    [true, '\n\t listen "x"'],
    [true, '/* a *//* b */ LiStEn orders'],
    [true, '/* one\n two */listen/**/orders'],
    [true, '-- tagged\nlisten orders'],
    [true, '-- a\r\n  /* b */ -- c\n\nlisten orders'],
    [false, "select 'listen' as listener"],
    [false, '-- listen orders\nselect 1'],
    [false, 'select 1 as listen'],
    [false, "set application_name = 'listen'"],
    [true, 'DO $$BEGIN LISTEN "jobs"; END$$'],
    [true, "do language plpgsql $x$ begin execute 'listen jobs'; end $x$"],
    [true, '-- tagged\nDo $$ begin perform 1; listen jobs; end $$'],
    [true, 'begin; listen jobs; commit'],
    [true, 'begin;/* ; */listen jobs;commit'],
    [true, '/* a /* nested */ comment */ listen jobs'],
    [true, "do E'begin\\nlisten jobs; end'"],
    [false, 'unlisten *'],
    [false, 'do $$ begin unlisten jobs; end $$'],
    [false, 'begin; unlisten jobs; commit'],
    [false, `/* ${'a tag '.repeat(20)} */ select 1`],
    [false, `/* tag */ select '${'long '.repeat(250)}'`],
    [false, `select '${'long '.repeat(250)}'`],
    [false, '/* tag */'],
    [false, ''],
    [false, 'select 1 as "do", 2 as listen'],
  ])('%s: %j', async (listening, statement) => {
    const { pid } = await db.open(app, 'php', statement)
    expect(await sessionOf(pid)).toMatchObject({ listening })
  })

  test('does not slow the snapshot, however long its comments', async () => {
    const pieces = ['/* */ ', '/*', '--\n', ' ', '/* x ', '*/']
    const texts = pieces.map((piece) => `${piece.repeat(QUERY_SIZE / piece.length - 10)} `)
    const sessions = await Promise.all(texts.map(() => db.open(app, 'php')))
    await Promise.all(
      // Not every one is SQL; as a failed statement it is shown as well.
      sessions.map(({ client }, index) => client.query(texts[index] ?? '').catch(() => undefined)),
    )
    const link = await db.link(reaper)
    // Where a text was searched from each of its characters on, the server would stop the look.
    expect((await takeSnapshot(link, HANGS_MS)).sessions).not.toEqual([])
    await link.close()
  })
})

test('an advisory lock of a prepared transaction belongs to no session', async () => {
  onTestFinished(async () => {
    await db.admin.query("rollback prepared 'left behind'")
  })
  await db.open(
    app,
    'php',
    'begin',
    'select pg_advisory_xact_lock(9)',
    "prepare transaction 'left behind'",
  )
  const link = await db.link(reaper)
  expect((await preflight(link, LOOK_MS)).advisoryLocks).toEqual(new Set())
  await link.close()
})
