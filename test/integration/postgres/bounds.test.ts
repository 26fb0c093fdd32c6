import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ServerBound } from '../../../infra/index.ts'
import { applyBounds } from '../../../lambda/postgres/bounds.ts'
import { connect } from '../../../lambda/postgres/connect.ts'
import { handler } from '../../../lambda/provision.ts'
import { EXAMPLE_KEYS, startAws } from '../../../stand-ins/aws.ts'
import { MAJOR, testServer } from '../../support/server.ts'

const HOSTILE = 'o"dd \'rôle\\ 数'
const SOON_MS = 10_000

const db = await testServer({ max_connections: '20' })
const { host, port } = db.server
await db.admin.query('create database shop')
const aws = await startAws({
  admin: JSON.stringify({ username: 'postgres', password: db.server.password }),
  reaper: JSON.stringify({ username: 'slotkeeper', password: 'of the sweep' }),
})
afterAll(() => aws.close())
Object.assign(process.env, EXAMPLE_KEYS, { AWS_ENDPOINT_URL: aws.url })

beforeEach(async () => {
  await db.admin.query('drop role if exists shop_app, shop_group')
  await db.admin.query(`drop role if exists ${quoted(HOSTILE)}`)
  await db.admin.query("create role shop_app login password 'of the app'")
  await db.admin.query(`create role ${quoted(HOSTILE)} login`)
})

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

type Bounds = readonly ServerBound[]

const properties = (bounds?: Bounds, different: object = {}) => ({
  adminSecret: 'admin',
  secret: 'reaper',
  host,
  port: String(port),
  ...(bounds && { bounds: JSON.stringify(bounds) }),
  ...different,
})
const deploy = (bounds?: Bounds) =>
  handler({ RequestType: 'Create', ResourceProperties: properties(bounds) } as never)
const redeploy = (before: object, now: object) =>
  handler({
    RequestType: 'Update',
    PhysicalResourceId: 'as it was',
    OldResourceProperties: before,
    ResourceProperties: now,
  } as never)
const change = (before?: Bounds, now?: Bounds) => redeploy(properties(before), properties(now))
const remove = (bounds: Bounds, different: object = {}) =>
  handler({
    RequestType: 'Delete',
    PhysicalResourceId: 'as it was',
    ResourceProperties: properties(bounds, different),
  } as never)

async function asApp(database: string): Promise<Client> {
  const client = new Client({ host, port, user: 'shop_app', password: 'of the app', database })
  await client.connect()
  return client
}

/** What the server has of a role: its limit, and its settings in each database. */
async function boundsOf(role: string) {
  const { rows } = await db.admin.query(
    `select rolconnlimit as limit, (
        select jsonb_object_agg(coalesce(datname, '*'), setconfig)
          from pg_db_role_setting left join pg_database d on d.oid = setdatabase where setrole = r.oid
      ) as settings from pg_roles r where rolname = $1`,
    [role],
  )
  return rows[0]
}

/** The lines that the function logs meanwhile. */
async function logged(run: () => Promise<unknown>): Promise<string> {
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  try {
    await run()
    return out.mock.calls.map(([line]) => line).join('')
  } finally {
    out.mockRestore()
  }
}

const HOUR: ServerBound = { user: 'shop_app', idleSessionTimeout: '1h' }
const UNBOUND = { limit: -1, settings: null }

describe('bounds at deployment', () => {
  test('are set, for a role everywhere and in one database, and new sessions have them', async () => {
    await deploy([
      { ...HOUR, connectionLimit: 7 },
      { user: 'shop_app', database: 'shop', idleInTransactionSessionTimeout: '90s' },
      { user: HOSTILE, database: 'postgres', idleSessionTimeout: '250ms' },
    ])
    expect(await boundsOf('shop_app')).toEqual({
      limit: 7,
      settings: {
        '*': ['idle_session_timeout=1h'],
        shop: ['idle_in_transaction_session_timeout=90s'],
      },
    })
    expect(await boundsOf(HOSTILE)).toEqual({
      limit: -1,
      settings: { postgres: ['idle_session_timeout=250ms'] },
    })
    const app = await asApp('shop')
    const { rows } = await app.query(
      "select current_setting('idle_session_timeout') as idle, current_setting('idle_in_transaction_session_timeout') as transaction",
    )
    await app.end()
    expect(rows).toEqual([{ idle: '1h', transaction: '90s' }])
  })

  test('change when they change, and are taken back when they are removed', async () => {
    const first: Bounds = [{ ...HOUR, connectionLimit: 7 }]
    await deploy(first)
    const second: Bounds = [{ user: 'shop_app', idleSessionTimeout: '2h' }]
    // What the last deployment set is nothing to tell of.
    expect(await logged(() => change(first, second))).not.toContain('WARN')
    expect(await boundsOf('shop_app')).toEqual({
      limit: -1,
      settings: { '*': ['idle_session_timeout=2h'] },
    })
    await change(second, undefined)
    expect(await boundsOf('shop_app')).toEqual(UNBOUND)
  })

  test('are taken back when the target is removed, and the role of the sweep stays', async () => {
    const bounds: Bounds = [{ ...HOUR, connectionLimit: 7 }]
    await deploy(bounds)
    await remove(bounds)
    expect(await boundsOf('shop_app')).toEqual(UNBOUND)
    expect(await boundsOf('slotkeeper')).toBeDefined()
  })

  test('stay where a person has changed them since', async () => {
    const bounds: Bounds = [{ ...HOUR, idleInTransactionSessionTimeout: '5m', connectionLimit: 7 }]
    await deploy(bounds)
    await db.admin.query('alter role shop_app set idle_session_timeout = 7000')
    await db.admin.query('alter role shop_app connection limit 9')
    const log = await logged(() => remove(bounds))
    expect(await boundsOf('shop_app')).toEqual({
      limit: 9,
      settings: { '*': ['idle_session_timeout=7000'] },
    })
    expect(log).toContain('idle_session_timeout of shop_app stays 7000')
    expect(log).toContain('connection limit of shop_app stays 9')
  })

  test('are taken back where a person wrote the same value in other words', async () => {
    await deploy([HOUR])
    await db.admin.query("alter role shop_app set idle_session_timeout = '60min'")
    await change([HOUR], undefined)
    expect(await boundsOf('shop_app')).toEqual(UNBOUND)
  })

  test('leave other settings of the role alone', async () => {
    await db.admin.query("alter role shop_app set work_mem = '8MB'")
    await deploy([HOUR])
    await change([HOUR], undefined)
    expect(await boundsOf('shop_app')).toEqual({ limit: -1, settings: { '*': ['work_mem=8MB'] } })
  })

  test('replace an earlier value, and the log says which', async () => {
    await db.admin.query("alter role shop_app set idle_session_timeout = '3h'")
    const log = await logged(() => deploy([HOUR]))
    expect(log).toContain('idle_session_timeout of shop_app was 3h')
    expect(await boundsOf('shop_app')).toMatchObject({
      settings: { '*': ['idle_session_timeout=1h'] },
    })
  })

  test('come back when CloudFormation rolls back', async () => {
    await deploy([HOUR])
    const wrong: Bounds = [{ user: 'nobody_here', connectionLimit: 5 }]
    await expect(change([HOUR], wrong)).rejects.toThrow('no role nobody_here')
    await change(wrong, [HOUR])
    expect(await boundsOf('shop_app')).toMatchObject({
      settings: { '*': ['idle_session_timeout=1h'] },
    })
  })

  test('of an unknown role or database change nothing', async () => {
    const wrong: Bounds = [
      { ...HOUR, connectionLimit: 7 },
      { user: 'shop_ap', connectionLimit: 7 },
      { user: 'shop_app', database: 'shpo', idleSessionTimeout: '1h' },
    ]
    await expect(deploy(wrong)).rejects.toThrow(
      'bounds[1].user: the server has no role shop_ap; bounds[2].database: the server has no database shpo. No bound was changed.',
    )
    expect(await boundsOf('shop_app')).toEqual(UNBOUND)
  })

  test('that the server refuses change nothing, and the error has the statement', async () => {
    await db.admin.query("alter role shop_app set idle_session_timeout = '3h'")
    const lesser = await db.role('lesser', [], 'createrole')
    await db.admin.query('grant pg_monitor, pg_signal_backend to lesser with admin option')
    const link = await connect(db.credentials(lesser), false, 'client', SOON_MS)
    const bounds = [
      ...(MAJOR >= 16 ? [] : [{ user: 'shop_app', idleSessionTimeout: 1000 }]),
      { user: MAJOR >= 16 ? 'shop_app' : 'postgres', idleSessionTimeout: 1000 },
    ]
    await expect(applyBounds(link, 'slotkeeper', bounds)).rejects.toThrow(
      /"ALTER ROLE .* SET idle_session_timeout = '1s';": .* No bound was changed\./,
    )
    await link.close()
    expect(await boundsOf('shop_app')).toMatchObject({
      settings: { '*': ['idle_session_timeout=3h'] },
    })
  })

  test.each<[string, ServerBound, string]>([
    [
      'a limit for a superuser',
      { user: 'postgres', connectionLimit: 5 },
      'bounds[0].connectionLimit: postgres is a superuser, for whom PostgreSQL enforces no limit',
    ],
    [
      'the role of the sweep',
      { user: 'slotkeeper', connectionLimit: 5 },
      'bounds[0].user: slotkeeper is the role of the sweep',
    ],
    ['nonsense', { user: 'shop_app', connectionLimit: 0 }, '0 would refuse every login'],
  ])('refuse %s', async (_, bound, said) => {
    await expect(deploy([bound])).rejects.toThrow(said)
  })

  test('set only what the server knows', async () => {
    const log = await logged(() => deploy([{ ...HOUR, transactionTimeout: '30m' }]))
    const { settings } = await boundsOf('shop_app')
    if (MAJOR >= 17) {
      expect(settings['*']).toEqual(['idle_session_timeout=1h', 'transaction_timeout=30min'])
    } else {
      expect(settings['*']).toEqual(['idle_session_timeout=1h'])
      expect(log).toContain(
        `transaction_timeout of shop_app is not set: PostgreSQL ${MAJOR} lacks it (new in 17)`,
      )
    }
  })

  test('that have no effect, or refuse logins at once, are told of', async () => {
    await db.admin.query('create role shop_group')
    const app = await asApp('postgres')
    const log = await logged(() =>
      deploy([
        { user: 'shop_group', idleSessionTimeout: '1h' },
        { user: 'shop_app', connectionLimit: 1 },
      ]),
    )
    expect(log).toContain("shop_group can't log in, and its members do not inherit its bounds")
    expect(log).toContain('shop_app has 1 sessions now')
    await app.end()
  })

  test('move with the target to another host, and the resource stays the same', async () => {
    await deploy([HOUR])
    // Another name of the same server: what is taken back there must not take away what is set here.
    const there = host === '127.0.0.1' ? 'localhost' : '127.0.0.1'
    const moved = await redeploy(properties([HOUR]), properties([HOUR], { host: there }))
    expect(moved.PhysicalResourceId).toBe('as it was')
    expect(await boundsOf('shop_app')).toMatchObject({
      settings: { '*': ['idle_session_timeout=1h'] },
    })
  })

  test.each([
    ['whose server is gone', { port: '1' }],
    ['whose secret is gone', { adminSecret: 'none' }],
  ])('of a target %s do not keep its stack', async (_, different) => {
    const log = await logged(() => remove([HOUR], different))
    expect(log).toContain('the bounds are left in place')
  })

  test('of a role that is gone are taken back from the others', async () => {
    const bounds: Bounds = [{ user: HOSTILE, connectionLimit: 3 }, HOUR]
    await deploy(bounds)
    await db.admin.query(`drop role ${quoted(HOSTILE)}`)
    await remove(bounds)
    expect(await boundsOf('shop_app')).toEqual(UNBOUND)
  })
})

describe('slotkeeper grants --bounds', () => {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-bounds-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const fileOf = (bounds: unknown) => {
    const file = join(folder, 'bounds.json')
    writeFileSync(file, JSON.stringify(bounds))
    return file
  }
  const args = (bounds: unknown) => [
    'dist/cli.mjs',
    'grants',
    '--role',
    'printed',
    '--bounds',
    fileOf(bounds),
    '--url',
    db.server.url(),
  ]

  test('prints SQL that sets the same', async () => {
    const bounds: Bounds = [
      { ...HOUR, connectionLimit: 7 },
      { user: HOSTILE, connectionLimit: 3 },
    ]
    await deploy(bounds)
    const deployed = await Promise.all(['shop_app', HOSTILE].map(boundsOf))
    await change(bounds, undefined)
    const printed = execFileSync(process.execPath, args(bounds), { encoding: 'utf8' })
    expect(await boundsOf('shop_app')).toEqual(UNBOUND)
    await db.admin.query(printed.replaceAll(/^--.*$/gm, ''))
    expect(await Promise.all(['shop_app', HOSTILE].map(boundsOf))).toEqual(deployed)
  })

  test.each<[unknown, string]>([
    [[{ user: 'shop_ap', connectionLimit: 7 }], 'the server has no role shop_ap'],
    [[{ user: 'shop_app', connectionLimit: '7' }], 'bounds[0].connectionLimit: expected a whole'],
  ])('of %j prints no SQL', (bounds, said) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, args(bounds), {
      encoding: 'utf8',
    })
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(said)
  })
})
