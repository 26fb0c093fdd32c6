import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { effectiveTimeout } from '../../../cli/doctor/timeouts.ts'
import { diagnoseAs, found, sqlOf, watchAs } from '../../support/doctor.ts'
import { MAJOR, REAPER_ROLES, type Role, testServer } from '../../support/server.ts'

// Findings about roles: the applications', and the doctor's own.
const db = await testServer({ max_connections: '20' })
let app: Role
let plain: Role

beforeAll(async () => {
  app = await db.role('shop_app')
  plain = await db.role('plain', REAPER_ROLES)
})
afterEach(() => db.endAll())

async function open(count: number, role = app, application = 'php'): Promise<void> {
  for (let index = 0; index < count; index += 1) await db.open(role, application, 'select 1')
}

const ids = ({ findings }: Awaited<ReturnType<typeof diagnoseAs>>) => findings.map(({ id }) => id)

describe('roles', () => {
  test('shared-role: an application as superuser, and a role for it', async () => {
    const superuser = { user: 'postgres', password: db.server.password }
    await open(2, superuser, 'shop-web')
    expect(found(await diagnoseAs(db, plain, 1), 'shared-role')).toEqual([])
    await open(1, superuser, 'shop-web')
    const [finding] = found(await diagnoseAs(db, plain, 1), 'shared-role')
    expect(finding).toMatchObject({ pool: { application: 'shop-web' } })
    for (const sql of sqlOf(finding)) await db.admin.query(sql)
    const { rows } = await db.admin.query(
      "select pg_has_role('postgres_app', 'pg_write_all_data', 'member') as writes",
    )
    expect(rows).toEqual([{ writes: true }])
  })

  test('shared-role: psql is a person', async () => {
    await open(4, { user: 'postgres', password: db.server.password }, 'psql')
    expect(found(await diagnoseAs(db, plain, 1), 'shared-role')).toEqual([])
  })

  test('cannot-signal: the remedy gives the right', async () => {
    const role = await db.role('onlooker', ['pg_monitor'])
    await open(1)
    const [finding] = found(await diagnoseAs(db, role, 1), 'cannot-signal')
    expect(finding).toMatchObject({ severity: 'info' })
    for (const sql of sqlOf(finding)) await db.admin.query(sql)
    expect(found(await diagnoseAs(db, role, 1), 'cannot-signal')).toEqual([])
    expect(found(await diagnoseAs(db, plain, 1), 'cannot-signal')).toEqual([])
  })

  test('too-mighty: the remedy takes what is too much, and the doctor still works', async () => {
    expect(found(await diagnoseAs(db, plain, 1), 'too-mighty')).toEqual([])
    const role = await db.role(
      'mighty',
      [...REAPER_ROLES, 'pg_write_all_data'],
      'createdb bypassrls',
    )
    const [finding] = found(await diagnoseAs(db, role, 1), 'too-mighty')
    expect(finding?.evidence).toMatchObject({
      attributes: ['CREATEDB', 'BYPASSRLS'],
      memberOf: ['pg_write_all_data'],
    })
    for (const sql of sqlOf(finding)) await db.admin.query(sql)
    expect(found(await diagnoseAs(db, role, 1), 'too-mighty')).toEqual([])
  })

  test('too-mighty: a superuser is left alone, and the least role is offered', async () => {
    const superuser = { user: 'postgres', password: db.server.password }
    const [finding] = found(await diagnoseAs(db, superuser, 1), 'too-mighty')
    expect(sqlOf(finding).join()).not.toMatch(/NOSUPERUSER|REVOKE/)
    for (const sql of sqlOf(finding)) await db.admin.query(sql)
    await db.admin.query("alter role slotkeeper password 'p'")
    const least = await diagnoseAs(db, { user: 'slotkeeper', password: 'p' }, 1)
    expect(ids(least)).not.toContain('too-mighty')
    expect(ids(least)).not.toContain('blind')
    expect(ids(least)).not.toContain('cannot-signal')
  })
})

describe('memory', () => {
  test('is not guessed outside RDS', async () => {
    expect(ids(await diagnoseAs(db, plain, 1))).not.toContain('memory')
  })
})

test('timeouts are read where they apply', async () => {
  const name = 'idle_session_timeout'
  const read = async () => {
    const { facts } = await watchAs(db, plain, 1)
    return effectiveTimeout(facts, name, 'shop_app', 'postgres')
  }
  const levels = [
    ['alter system', 'server', '7min', 420_000],
    ['alter role all', 'all roles', '6min', 360_000],
    ['alter database postgres', 'database', '300000', 300_000],
    ['alter role shop_app', 'role', '4min', 240_000],
    ['alter role shop_app in database postgres', 'role in database', '3min', 180_000],
  ] as const
  expect(await read()).toEqual({ ms: 0, source: 'server' })
  for (const [whom, source, value, ms] of levels) {
    await db.admin.query(`${whom} set ${name} = '${value}'`)
    await db.admin.query('select pg_reload_conf()')
    await expect.poll(read, { timeout: 30_000 }).toEqual({ ms, source })
  }
  for (const [whom] of levels) await db.admin.query(`${whom} reset ${name}`)
  await db.admin.query('select pg_reload_conf()')
})

test.runIf(MAJOR >= 16)('the reserve is a way in', async () => {
  const role = await db.role('reserved_one', [...REAPER_ROLES, 'pg_use_reserved_connections'])
  const [finding] = found(await diagnoseAs(db, role, 1), 'no-way-in')
  // Without reserved_connections the grant is of no use.
  expect(finding?.remedies).toMatchObject([
    { kind: 'sql', text: expect.stringContaining('REPLICATION') },
  ])
})
