import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { Report } from '../../../lambda/core/report.ts'
import { connect } from '../../../lambda/postgres/connect.ts'
import { createGate, deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { type Fate, startProxy } from '../../../stand-ins/proxy.ts'
import { freeze, isPending } from '../../support/process.ts'
import { type OtherSession, REAPER_ROLES, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const QUERY_MS = 10_000

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')
const network = await startProxy(db.server)
afterAll(() => network.close())
await db.admin.query('create table ledger (entry text); grant all on ledger to shop_app')
await db.admin.query('create table jobs (id int); grant all on jobs to shop_app')

const behindNetwork = { ...db.credentials(reaper), port: network.port }
const everyIdle = policy({
  scope: { users: ['shop_app'] },
  protect: [{ applications: ['pg_dump'] }],
  rules: [{ name: 'idle', state: 'idle', olderThan: '0s' }],
})

/** Acts when the session has been looked at and the signal for it is on its way. */
function betweenLookAndSignal(act: () => unknown): void {
  network.judge = async (chunk, from): Promise<Fate> => {
    if (
      from === 'client' &&
      /slotkeeper\.outcomes|select pg_terminate_backend/.test(chunk.toString())
    ) {
      network.judge = () => 'pass'
      await act()
    }
    return 'pass'
  }
}

async function slotkeeper(): Promise<Report> {
  const gate = createGate(async () => behindNetwork, false)
  try {
    const order = { target: 'test', policy: everyIdle, mode: 'reap' } as const
    return (await sweep(gate, order, deadlineIn(SWEEP_MS))).report
  } finally {
    await gate.close()
  }
}

/** What a script does that asks for the idle sessions, and ends what it was told. */
async function listThenKill(): Promise<void> {
  const link = await connect(behindNetwork, false, 'client', QUERY_MS)
  const listed = await link.query(
    "select pid from pg_stat_activity where usename = 'shop_app' and state = 'idle'",
    QUERY_MS,
  )
  for (const { pid } of listed.flat()) {
    await link.query(`select pg_terminate_backend(${pid})`, QUERY_MS)
  }
  await link.close()
}

const written = async () => (await db.admin.query('select entry from ledger')).rows

beforeEach(async () => {
  network.judge = () => 'pass'
  await db.admin.query('truncate ledger')
})

/** What a session that was idle begins to do. Where it is ended, what it had begun fails. */
const changes: [string, (client: OtherSession['client']) => Promise<unknown>][] = [
  ['runs a query', (client) => client.query('select 1')],
  ['runs a prepared statement', (client) => client.query({ name: 'p', text: 'select 1' })],
  ['begins a transaction', (client) => client.query('begin')],
  [
    'fails in a transaction',
    (client) => client.query('begin; select 1 / 0').catch(() => undefined),
  ],
  ['opens a cursor', (client) => client.query('begin; declare c cursor for select 1')],
  ['takes an advisory lock', (client) => client.query('select pg_advisory_lock(42)')],
  ['begins to listen', (client) => client.query('listen orders')],
  ['commits', (client) => client.query("insert into ledger values ('committed')")],
  ['makes a temporary table', (client) => client.query('create temp table scratch ()')],
  ['is reset by its pool', (client) => client.query('discard all')],
]

describe.each(changes)('a session that %s between the look and the signal', (_, change) => {
  const arrange = async () => {
    const session = await db.open(app, 'php')
    betweenLookAndSignal(() => change(session.client))
    return session
  }

  test('is spared by Slotkeeper and keeps working', async () => {
    const session = await arrange()
    expect(await slotkeeper()).toMatchObject({ reaped: [], refused: [], spared: { changed: 1 } })
    await session.client.query('rollback')
    await session.client.query("insert into ledger values ('works on')")
    expect(await written()).toContainEqual({ entry: 'works on' })
  })

  test('is ended by a script that lists first and kills by pid', async () => {
    const session = await arrange()
    await listThenKill()
    await session.ended
    expect(session.isAlive()).toBe(false)
  })
})

describe('a session that is working when the signal arrives', () => {
  /** It has written, and waits for a lock that another session holds. */
  const arrange = async () => {
    const [holder, session] = await Promise.all([
      db.open(app, 'holder', 'begin', 'lock table jobs'),
      db.open(app, 'php'),
    ])
    let work: Promise<unknown> = Promise.resolve()
    betweenLookAndSignal(async () => {
      work = session.client
        .query("begin; insert into ledger values ('done'); lock table jobs; commit")
        .then(
          () => 'committed',
          (error) => error.code,
        )
      await until(async () => (await db.stateOf(session.pid)) === 'active')
    })
    return { holder, session, worked: () => work }
  }

  test('is spared by Slotkeeper and loses no work', async () => {
    const { holder, session, worked } = await arrange()
    expect(await slotkeeper()).toMatchObject({ reaped: [], refused: [], spared: { changed: 1 } })
    await holder.client.query('commit')
    expect(await worked()).toBe('committed')
    expect(await written()).toEqual([{ entry: 'done' }])
    expect(session.isAlive()).toBe(true)
  })

  test('is ended with its work by a script that lists first and kills by pid', async () => {
    const { session, worked } = await arrange()
    await listThenKill()
    await session.ended
    expect(await worked()).toBe('57P01')
    expect(await written()).toEqual([])
  })
})

test('spares a session that has the pid of an ended one', async () => {
  const session = await db.open(app, 'php')
  let next: OtherSession | undefined
  betweenLookAndSignal(async () => {
    await db.end([session])
    next = await db.open(app, 'php')
  })
  expect(await slotkeeper()).toMatchObject({ reaped: [], refused: [], spared: { gone: 1 } })
  expect(next?.isAlive()).toBe(true)
})

test('spares a session that is idle and still working', async () => {
  const bystanders = await Promise.all([
    db.open(app, 'listener', 'listen orders'),
    db.open(app, 'migration', 'select pg_advisory_lock(42)'),
    db.open(app, 'pg_dump'),
    db.open(app, 'cursor', 'begin', 'declare c cursor for select 1'),
  ])
  const victim = await db.open(app, 'php')
  const { reaped } = await slotkeeper()
  expect(reaped.map(({ pid }) => pid)).toEqual([victim.pid])
  await victim.ended
  for (const bystander of bystanders) expect(bystander.isAlive()).toBe(true)
})

test('a query that is still on the wire when its session is ended has no effect', async () => {
  const session = await db.open(app, 'php')
  let sent: Promise<unknown> = Promise.resolve()
  betweenLookAndSignal(async () => {
    await freeze(session.pid)
    sent = expect(session.client.query("insert into ledger values ('begun')")).rejects.toThrow()
  })
  const sweeping = slotkeeper()
  try {
    await until(() => isPending('SIGTERM', session.pid))
  } finally {
    process.kill(session.pid, 'SIGCONT')
  }
  await Promise.all([sent, session.ended, sweeping])
  expect(await written()).toEqual([])
})
