import { afterEach, expect, test } from 'vitest'
import { diagnoseBlindly } from '../../../cli/doctor/blind.ts'
import { diagnose } from '../../../cli/doctor/diagnose.ts'
import { UNPINNED } from '../../../cli/doctor/facts.ts'
import { FUNCTIONS, RELATIONS } from '../../../cli/doctor/rights.ts'
import { SlotkeeperError } from '../../../lambda/errors.ts'
import { createGate } from '../../../lambda/postgres/gate.ts'
import { provide } from '../../../lambda/postgres/role.ts'
import { diagnoseAs, found, sqlOf, watchAs } from '../../support/doctor.ts'
import { REAPER_ROLES, type Role, testServer } from '../../support/server.ts'

const db = await testServer({ max_connections: '20', shared_buffers: '16MB' })
const app = await db.role('shop_app')
await db.trust(app)
const reaper = await db.role('reaper', REAPER_ROLES)
const superuser = { user: 'postgres', password: db.server.password }
afterEach(() => db.endAll())

/** What the command does where the first look fails. */
async function blindly(role: Role) {
  const gate = createGate(async () => db.credentials(role), false, UNPINNED)
  const failure = await watchAs(db, role, 1).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(SlotkeeperError)
  try {
    return await diagnoseBlindly(gate, 'test', failure as SlotkeeperError)
  } finally {
    await gate.close()
  }
}

test('blind: who holds the slots is said all the same, and the remedy gives sight', async () => {
  const role = await db.role('blindfolded', ['pg_signal_backend'])
  for (let index = 0; index < 15; index += 1) await db.open(app, 'php', 'select 1')
  const diagnosis = await blindly(role)
  expect(diagnosis.pools[0]).toMatchObject({
    user: 'shop_app',
    application: 'php',
    sessions: 15,
    busy: null,
  })
  expect(diagnosis.findings.map(({ id }) => id)).toEqual(['full', 'blind'])
  expect(diagnosis.plan.map(({ take }) => take)).toEqual([false, false, false, false])
  for (const sql of sqlOf(found(diagnosis, 'blind')[0])) await db.admin.query(sql)
  await db.endAll()
  expect(found(await diagnoseAs(db, role, 1), 'blind')).toEqual([])
})

test('a server that took from PUBLIC what a look needs: the grant is named, and mends it', async () => {
  await db.open(app, 'php', 'select 1')
  const right = 'EXECUTE ON FUNCTION pg_catalog.octet_length(text)'
  await db.admin.query(`revoke ${right} from public`)
  const diagnosis = await blindly(reaper)
  expect(diagnosis.pools.map(({ user }) => user)).toContain('shop_app')
  const [finding] = found(diagnosis, 'blind')
  expect(finding?.remedies).toMatchObject([{ text: `GRANT ${right} TO "reaper";` }])
  for (const sql of sqlOf(finding)) await db.admin.query(sql)
  expect(found(await diagnoseAs(db, reaper, 1), 'blind')).toEqual([])
  await db.admin.query(`grant ${right} to public; revoke ${right} from reaper`)
})

test('where not even the names can be read, the error names the grants', async () => {
  const right = 'SELECT ON pg_catalog.pg_roles'
  await db.admin.query(`revoke ${right} from public`)
  await expect(blindly(reaper)).rejects.toMatchObject({
    kind: 'rights',
    message: expect.stringContaining(`GRANT ${right} TO "reaper";`),
  })
  await db.admin.query(`grant ${right} to public`)
})

const RIGHTS = [
  ...FUNCTIONS.map((name) => `EXECUTE ON FUNCTION pg_catalog.${name}`),
  ...RELATIONS.map((name) => `SELECT ON pg_catalog.${name}`),
]

test.each(RIGHTS)('without %s the rest is still found', async (right) => {
  await db.open(app, 'php', 'select 1')
  await db.admin.query(`revoke ${right} from public`)
  const diagnosis = await diagnoseAs(db, reaper, 1)
  const [finding] = found(diagnosis, 'blind')
  expect(finding?.severity).toBe('warning')
  expect(sqlOf(finding)).toEqual([`GRANT ${right} TO "reaper";`])
  expect(diagnosis.pools.map(({ user }) => user)).toContain('shop_app')
  for (const sql of sqlOf(finding)) await db.admin.query(sql)
  expect(found(await diagnoseAs(db, reaper, 1), 'blind')).toEqual([])
  await db.admin.query(`grant ${right} to public`)
})

test('a hardened server and the role that `grants` makes: nothing is hidden but what the doctor alone reads', async () => {
  for (const right of RIGHTS) await db.admin.query(`revoke ${right} from public`)
  const admin = await db.link(superuser)
  await provide(admin, { role: 'made', auth: 'secret' }, 'p')
  await admin.close()
  const role = { user: 'made', password: 'p' }
  const [finding] = found(await diagnoseAs(db, role, 1), 'blind')
  for (const sql of sqlOf(finding).join('\n').split('\n')) await db.admin.query(sql)
  expect(found(await diagnoseAs(db, role, 1), 'blind')).toEqual([])
  for (const right of RIGHTS) await db.admin.query(`grant ${right} to public`)
})

test('memory: on RDS shared_buffers is a quarter of it', async () => {
  expect(found(await diagnoseAs(db, reaper, 1), 'memory')).toEqual([])
  await db.admin.query(
    'create role rds_superuser; create role master_user; grant rds_superuser to master_user',
  )
  // 64 MB do not hold 20 sessions of 9 MB.
  const small = await diagnoseAs(db, reaper, 1)
  expect(small.server.kind).toBe('rds')
  expect(found(small, 'memory')).toMatchObject([
    { severity: 'warning', evidence: { maxConnections: 20, memoryMegabytes: 64 } },
  ])
  // The same server with more memory.
  const observed = await watchAs(db, reaper, 1)
  const { settings } = observed.facts
  if (settings) settings.values.shared_buffers = 64 * 1024 ** 2
  expect(found(diagnose(observed), 'memory')).toEqual([])
})

test('shared-role: the master user of RDS', async () => {
  await db.admin.query("alter role master_user login password 'secret of master_user'")
  const master = { user: 'master_user', password: 'secret of master_user' }
  for (let index = 0; index < 3; index += 1) await db.open(master, 'shop-web', 'select 1')
  const [finding] = found(await diagnoseAs(db, reaper, 1), 'shared-role')
  expect(finding).toMatchObject({ evidence: { master: true, superuser: false } })
})
