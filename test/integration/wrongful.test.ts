import { expect, test } from 'vitest'
import { createGate, deadlineIn, SWEEP_MS } from '../../lambda/postgres/entry.ts'
import { sweep } from '../../lambda/sweep.ts'
import { REAPER_ROLES, testServer } from '../support/server.ts'
import { policy } from '../support/session.ts'
import { applications, STRESS_SETTINGS, stress } from '../support/stress.ts'

const AGE_MS = 500
const LOAD = { clients: 64, gapMs: 600, forMs: 4_000 }

const db = await testServer(STRESS_SETTINGS)
const reaper = await db.role('reaper', REAPER_ROLES)
const role = await db.role('shop_app')
await db.trust(role)
const work = () => applications(db.admin, { user: role.user, url: db.server.url(role) }, LOAD)

test('sessions in use are never harmed, however fast the sweeps follow each other', async () => {
  const gate = createGate(async () => db.credentials(reaper), false)
  const rules = policy({
    scope: { users: ['shop_app'] },
    protect: [{ applications: ['pg_dump'] }],
    rules: [{ name: 'idle', state: 'idle', olderThan: `${AGE_MS}ms` }],
  })
  const bystanders = await Promise.all([
    db.open(role, 'listener', 'listen orders'),
    db.open(role, 'migration', 'select pg_advisory_lock(42)'),
    db.open(role, 'pg_dump'),
    db.open(role, 'cursor', 'begin', 'declare c cursor for select 1'),
  ])
  const toll = await stress(db, AGE_MS, work, () =>
    sweep(gate, { target: 'test', policy: rules, mode: 'reap' }, deadlineIn(SWEEP_MS)),
  )
  await gate.close()
  expect(toll.lost).toBe(0)
  // Of thousands of reaps one meets a session that begins its next query just then; where the
  // machine takes the processor from the sweep at that moment, its `begin` is answered: young too.
  expect(toll.busy).toBeLessThanOrEqual(1)
  expect(toll.young).toBeLessThanOrEqual(1)
  expect(toll.reaped).toBeGreaterThan(10)
  for (const bystander of bystanders) expect(bystander.isAlive()).toBe(true)
})

test('the same count finds the wrong victims of listing first and killing by pid', async () => {
  const toll = await stress(db, AGE_MS, work, async () => {
    const { rows } = await db.admin.query(
      `select pid from pg_stat_activity where usename = 'shop_app' and state = 'idle' and state_change < now() - interval '${AGE_MS} ms'`,
    )
    for (const { pid } of rows) await db.admin.query('select pg_terminate_backend($1)', [pid])
  })
  expect(toll.busy + toll.young).toBeGreaterThan(0)
})
