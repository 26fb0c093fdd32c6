import { afterAll, describe, expect, test } from 'vitest'
import { type Memory, recall, remember } from '../../../lambda/core/memory.ts'
import type { WrittenPolicy } from '../../../lambda/core/policy.ts'
import type { Mode } from '../../../lambda/core/report.ts'
import type { Snapshot } from '../../../lambda/core/session.ts'
import { createGate, deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { MAJOR, type OtherSession, REAPER_ROLES, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const db = await testServer({ max_connections: '60', wal_level: 'logical' })
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app', [], 'replication')
await db.trust(app)
const gate = createGate(async () => db.credentials(reaper), false)
afterAll(() => gate.close())

/** Bytes of a query that the server keeps, by its default `track_activity_query_size`. */
const KEPT = 1_023

const ALL_IDLE: WrittenPolicy = { rules: [{ name: 'all', state: 'idle', olderThan: '0s' }] }

/** Sweeps the sessions of the application's role. */
async function sweepAll(mode: Mode, before?: Memory, different: Partial<WrittenPolicy> = {}) {
  const written = policy({ scope: { users: [app.user] }, ...ALL_IDLE, ...different })
  let memory = before
  const recallAndRemember = (seen: Snapshot): Snapshot => {
    const whole = recall(memory, seen)
    memory = remember(whole)
    return whole
  }
  const order = { target: 'test', policy: written, mode, recall: recallAndRemember }
  const result = await sweep(gate, order, deadlineIn(SWEEP_MS))
  return { ...result, memory: memory as unknown as Memory }
}

/** Ends a session and waits until the server has forgotten it. */
async function leave({ client, pid }: OtherSession): Promise<void> {
  await client.end()
  await until(async () => (await db.stateOf(pid)) === undefined)
}

/** Why each session was spared, by its process. */
async function reasons(...sessions: OtherSession[]): Promise<string[]> {
  const { verdicts } = await sweepAll('reap')
  return sessions.map(({ pid }) => {
    const verdict = verdicts.find(({ session }) => session.pid === pid)
    return verdict?.verdict === 'spare' ? verdict.reason : (verdict?.verdict ?? 'not seen')
  })
}

const [start, stop] =
  MAJOR >= 15
    ? ["pg_backup_start('test')", 'pg_backup_stop()']
    : ["pg_start_backup('test', true, false)", 'pg_stop_backup(false)']

test('spares a session that uses a replication slot, and the slot stays', async () => {
  const poller = await db.open(
    app,
    'poller',
    "select pg_create_logical_replication_slot('polled', 'test_decoding', true)",
    "select * from pg_logical_slot_get_changes('polled', null, null)",
    'select 1',
  )
  expect(await reasons(poller)).toEqual(['replicationSlot'])
  expect(poller.isAlive()).toBe(true)
  await leave(poller)
})

test('spares a session between the start and the end of a backup', async () => {
  const [started, stopped] =
    MAJOR >= 15
      ? ['pg_backup_start', 'pg_backup_stop']
      : ['pg_start_backup(text, boolean, boolean)', 'pg_stop_backup(boolean, boolean)']
  for (const name of [started, stopped])
    await db.admin.query(`grant execute on function ${name} to shop_app`)
  const dump = await db.open(app, 'backup', `select ${start} -- until ${stop}`)
  expect(await reasons(dump)).toEqual(['backup'])
  const { memory } = await sweepAll('observe')
  await dump.client.query('select 1')
  await db.settled(dump.pid)
  const kept = await sweepAll('reap', memory)
  expect(kept.report).toMatchObject({ reaped: [], spared: { backup: 1 } })
  await dump.client.query(`select ${stop}`)
  await db.settled(dump.pid)
  const done = await sweepAll('reap', kept.memory)
  expect(done.report.reaped.map(({ pid }) => pid)).toEqual([dump.pid])
})

describe('a truncated query text counts as LISTEN when LISTEN may follow', () => {
  /** A comment of so many bytes. */
  const comment = (bytes: number) => `/*${'x'.repeat(bytes - 4)}*/`

  test.each<[boolean, string]>([
    [true, `/* ${'a tag '.repeat(200)} */ listen jobs`],
    [true, `/* ${'a /* nested */ tag '.repeat(100)} */ listen jobs`],
    [true, `-- ${'a tag '.repeat(200)}\nlisten jobs`],
    [true, `${'/* tag */ '.repeat(150)} listen jobs`],
    [true, `${' '.repeat(1_100)} listen jobs`],
    [true, `/*${'é'.repeat(600)}*/ listen jobs`],
    [true, `/*x${'日'.repeat(400)}*/ listen jobs`],
    [true, `do $$ begin perform '${'long '.repeat(250)}'; listen jobs; end $$`],
    // Cut off inside of the word itself.
    ...[1, 2, 3, 4, 5, 6].map((letters): [boolean, string] => [
      true,
      `${comment(KEPT - letters)}LISTEN jobs`,
    ]),
    ...[1, 2].map((letters): [boolean, string] => [
      true,
      `${comment(KEPT - letters)}do $$ begin listen jobs; end $$`,
    ]),
    // Behind another statement.
    [true, `begin; ${comment(1_200)} listen jobs; commit`],
    [true, `begin; -- ${'a tag '.repeat(200)}\nlisten jobs; commit`],
    [true, `begin;${' '.repeat(1_100)}listen jobs; commit`],
    [true, `begin; /* ${'a /* nested */ tag '.repeat(100)} */ listen jobs; commit`],
    [true, `begin;${comment(KEPT - 9)}listen jobs; commit`],
    [false, `/* tag */ select '${'long '.repeat(250)}'`],
    [false, `select '${'long '.repeat(250)}'`],
    [false, `begin; select '${'long '.repeat(250)}'; commit`],
    [false, `select 1, /* ${'a tag '.repeat(200)} */ 2`],
    [false, `begin; ${comment(KEPT - 9)}lock table pg_class in access share mode; commit`],
  ])('%s: %j', async (listening, statement) => {
    const { pid } = await db.open(app, 'one', statement)
    const { snapshot } = await sweepAll('observe')
    expect(snapshot.sessions.find((session) => session.pid === pid)).toMatchObject({ listening })
  })
})

describe('a session that was seen listening', () => {
  const KEEPALIVES = [
    'select pg_backend_pid()',
    ' ',
    'commit',
    'deallocate all',
    'notify other',
    'select 1',
  ]

  test('stays a listener, whatever it runs next', async () => {
    const listener = await db.open(app, 'listener', 'listen jobs')
    let { memory } = await sweepAll('observe')
    for (const keepalive of KEEPALIVES) {
      await listener.client.query(keepalive)
      await db.settled(listener.pid)
      const swept = await sweepAll('reap', memory)
      expect(swept.report).toMatchObject({ reaped: [], spared: { listening: 1 } })
      memory = swept.memory
    }
    // Without the memory it is one that can't be told from any other.
    expect((await sweepAll('reap')).report.reaped.map(({ pid }) => pid)).toEqual([listener.pid])
    await listener.ended
  })

  test('is forgotten when it ends', async () => {
    const listener = await db.open(app, 'listener', 'listen jobs')
    const { memory } = await sweepAll('observe')
    expect(memory.listeners.size).toBe(1)
    await leave(listener)
    expect((await sweepAll('observe', memory)).memory.listeners.size).toBe(0)
  })
})

test.each([
  ['café', ['café']],
  ['caf\t-1', ['caf\t-1']],
  ['日本 worker', ['日本*']],
  // 88 bytes as PostgreSQL 16 writes it, of which it keeps 63.
  ['é'.repeat(11), ['é'.repeat(11)]],
  ['é'.repeat(20), ['é'.repeat(20)]],
])('the application %j is protected by %j', async (application, applications) => {
  const protectedOne = await db.open(app, application)
  const { report } = await sweepAll('reap', undefined, { protect: [{ applications }] })
  expect(report).toMatchObject({ reaped: [], spared: { protected: 1 } })
  await leave(protectedOne)
})

describe.each(['LATIN1', 'EUC_JP', 'SQL_ASCII', 'UTF8'])('over a database in %s', (encoding) => {
  const name = `in_${encoding.toLowerCase()}`

  test('names are read unchanged', async () => {
    await db.admin.query(
      `create database ${name} template template0 encoding '${encoding}' locale 'C'`,
    )
    const role = await db.role(`renée ${encoding}`)
    const session = await db.open(role, 'app')
    const over = createGate(async () => db.credentials(reaper, name), false)
    const written = policy({ ...ALL_IDLE, scope: { users: ['ren*'] } })
    const guarded = policy({
      ...ALL_IDLE,
      scope: { users: ['ren*'] },
      protect: [{ users: [role.user] }],
    })
    const run = (policy: typeof written) =>
      sweep(over, { target: 'test', policy, mode: 'reap' }, deadlineIn(SWEEP_MS))
    expect((await run(guarded)).report).toMatchObject({ reaped: [], spared: { protected: 1 } })
    expect((await run(written)).report.reaped).toMatchObject([
      { pid: session.pid, user: role.user },
    ])
    await over.close()
  })
})
