import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Credentials } from '../../../lambda/core/credentials.ts'
import { SlotkeeperError } from '../../../lambda/errors.ts'
import { connect } from '../../../lambda/postgres/connect.ts'
import { createGate, deadlineIn } from '../../../lambda/postgres/gate.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'

const SOON_MS = 10_000

const db = await testServer({ max_connections: '12', superuser_reserved_connections: '3' })
const reaper = await db.role('reaper', REAPER_ROLES)
const replicator = await db.role('replicator', REAPER_ROLES, 'replication')
const app = await db.role('shop_app')

const fixed = (credentials: Credentials) => async () => credentials
const gateOf = (role: typeof reaper) => createGate(fixed(db.credentials(role)), false)

describe('a role or database that the server refuses', () => {
  test.each([
    ['wrong password', { password: 'wrong' }, 'authentication', 'reaper'],
    ['unknown role', { user: 'nobody' }, 'authentication', 'nobody'],
    ['unknown database', { database: 'no such' }, 'forbidden', 'no such'],
    ['closed database', { database: 'template0' }, 'forbidden', 'SQLSTATE 55000'],
  ])('%s', async (_, change, kind, named) => {
    const credentials = { ...db.credentials(reaper), ...change }
    await expect(connect(credentials, false, 'client', SOON_MS)).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(named),
    })
  })

  test.each([
    ['password', { password: 'wrong' }, [false, true]],
    ['database', { database: 'no such' }, [false]],
  ])('reads the secret again only for a wrong password: %s', async (_, change, expected) => {
    const reads: boolean[] = []
    const gate = createGate(async (fresh) => {
      reads.push(fresh)
      return { ...db.credentials(reaper), ...change }
    }, false)
    await expect(gate.open(deadlineIn(SOON_MS))).rejects.toBeInstanceOf(SlotkeeperError)
    expect(reads).toEqual(expected)
  })

  test('does not show the password', async () => {
    const credentials = { ...db.credentials(reaper), password: 'hush-hush' }
    const error = await connect(credentials, false, 'client', SOON_MS).catch(
      (error: Error) => error,
    )
    expect(`${(error as Error).message} ${(error as Error).stack}`).not.toContain('hush-hush')
  })
})

describe('an unreachable server', () => {
  test('with a closed port', async () => {
    const credentials = { ...db.credentials(reaper), port: 1 }
    await expect(connect(credentials, false, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('127.0.0.1:1'),
    })
  })

  test('with an unknown host name', async () => {
    const credentials = { ...db.credentials(reaper), host: 'no-such-host.invalid' }
    await expect(connect(credentials, false, 'client', SOON_MS)).rejects.toMatchObject({
      kind: 'unreachable',
    })
  })

  test('that accepts the connection and stays silent', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as { port: number }
    await expect(
      connect({ ...db.credentials(reaper), port }, false, 'client', 300),
    ).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('no answer within 0.3 s'),
    })
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
})

test('accepts names and passwords with quotes, spaces and letters of any alphabet', async () => {
  await db.admin.query('create database "dätä ""b\'ase 数"')
  const odd = await db.role('rö"le \'of 数', ['pg_monitor'])
  const link = await connect(db.credentials(odd, 'dätä "b\'ase 数'), false, 'client', SOON_MS)
  const [[row]] = (await link.query(
    'select session_user as u, current_database() as d',
    SOON_MS,
  )) as [[Record<string, unknown>]]
  expect(row).toEqual({ u: odd.user, d: 'dätä "b\'ase 数' })
  await link.close()
})

test('uses its own settings, whatever the role sets', async () => {
  onTestFinished(async () => {
    await db.admin.query('alter role reaper reset all')
  })
  await db.admin.query(
    "alter role reaper set search_path = public; alter role reaper set idle_session_timeout = '50ms'",
  )
  const link = await db.link(reaper)
  const [[row]] = (await link.query(
    "select current_setting('search_path') as path, current_setting('idle_session_timeout') as idle, current_setting('application_name') as name",
    SOON_MS,
  )) as [[Record<string, unknown>]]
  expect(row).toEqual({ path: 'pg_catalog,pg_temp', idle: '0', name: 'slotkeeper' })
  await link.close()
})

test('gives up a statement without an answer and closes its connection', async () => {
  const link = await db.link(reaper)
  await expect(link.query('select pg_sleep(60)', 100)).rejects.toMatchObject({
    kind: 'unreachable',
  })
  expect(link.alive()).toBe(false)
  await link.close()
})

describe('the kept connection', () => {
  test('is reused by one sweep at a time', async () => {
    const gate = gateOf(reaper)
    await gate.giveBack(await gate.open(deadlineIn(SOON_MS)))
    const warm = gate.takeWarm()
    expect(warm?.entry).toBe('warm')
    expect(gate.takeWarm()).toBeUndefined()
    await warm?.close()
  })

  test('is not reused after the server ended it', async () => {
    const gate = gateOf(reaper)
    const link = await gate.open(deadlineIn(SOON_MS))
    await gate.giveBack(link)
    await db.admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'slotkeeper'",
    )
    await until(() => !link.alive())
    expect(gate.takeWarm()).toBeUndefined()
  })
})

describe('a rotated password', () => {
  test('is read again once and works', async () => {
    const reads: boolean[] = []
    const gate = createGate(async (fresh) => {
      reads.push(fresh)
      return { ...db.credentials(reaper), ...(fresh ? {} : { password: 'of yesterday' }) }
    }, false)
    const link = await gate.open(deadlineIn(SOON_MS))
    expect(reads).toEqual([false, true])
    await link.close()
  })

  test('is not read a third time', async () => {
    const reads: boolean[] = []
    const gate = createGate(async (fresh) => {
      reads.push(fresh)
      return { ...db.credentials(reaper), password: 'wrong' }
    }, false)
    await expect(gate.open(deadlineIn(SOON_MS))).rejects.toMatchObject({ kind: 'authentication' })
    expect(reads).toEqual([false, true])
  })
})

describe('a full server', () => {
  const walsenders = async () => {
    const { rows } = await db.admin.query(
      "select 1 from pg_stat_activity where backend_type = 'walsender'",
    )
    return rows.length
  }

  test('lets a role with REPLICATION in through a walsender slot, which it then frees', async () => {
    await db.fill(app)
    const gate = gateOf(replicator)
    const link = await gate.open(deadlineIn(SOON_MS))
    expect(link.entry).toBe('walsender')
    expect(await walsenders()).toBe(1)
    await gate.giveBack(link)
    expect(gate.takeWarm()).toBeUndefined()
    await until(async () => (await walsenders()) === 0)
  })

  test('names the missing GRANT to any other role', async () => {
    await db.fill(app)
    await expect(gateOf(reaper).open(deadlineIn(SOON_MS))).rejects.toMatchObject({
      kind: 'exhausted',
      message: expect.stringMatching(
        /53300.*REPLICATION.*rds_replication.*pg_use_reserved_connections/,
      ),
    })
  })

  test('is not confused with the connection limit of a role', async () => {
    const limited = await db.role('limited', REAPER_ROLES, 'connection limit 0')
    await expect(gateOf(limited).open(deadlineIn(SOON_MS))).rejects.toMatchObject({
      kind: 'limited',
      message: expect.stringContaining('ALTER ROLE'),
    })
  })

  test('is not confused with the connection limit of a database', async () => {
    await db.admin.query('create database narrow connection limit 0')
    const gate = createGate(fixed(db.credentials(reaper, 'narrow')), false)
    await expect(gate.open(deadlineIn(SOON_MS))).rejects.toMatchObject({ kind: 'limited' })
  })
})
