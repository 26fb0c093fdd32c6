import { afterAll, expect, test } from 'vitest'
import { createGate, deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { createTarget } from '../../../lambda/target.ts'
import { REAPER_ROLES, testServer } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')
await db.trust(app)
const idleAtOnce = policy({
  scope: { users: ['shop_*', 'nobody'] },
  rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
})
const target = createTarget(
  'shop',
  idleAtOnce,
  createGate(async () => db.credentials(reaper), false),
)
afterAll(() => target.close())
const run = (mode: 'reap' | 'observe') => target.sweep(mode, deadlineIn(SWEEP_MS))

test('spares a listener that only the failed sweep before saw', async () => {
  const listener = await db.open(app, 'listener', 'listen jobs')
  await db.open(app, 'idle')
  // Looks, and fails before it ends any session.
  await db.admin.query('revoke usage on language plpgsql from public')
  await expect(run('reap')).rejects.toMatchObject({ kind: 'rights' })
  await db.admin.query('grant usage on language plpgsql to public')
  await listener.client.query('select 1')
  await db.settled(listener.pid)
  const { report } = await run('reap')
  expect(report).toMatchObject({ reaped: [{ application: 'idle' }], spared: { listening: 1 } })
})

test('counts only new sessions, and names an entry without a match once', async () => {
  await db.open(app, 'idle')
  const first = await run('observe')
  expect(first).toMatchObject({ condemned: 1, newlyCondemned: 1 })
  await db.open(app, 'another')
  const second = await run('observe')
  expect(second).toMatchObject({ condemned: 2, newlyCondemned: 1, newlyUnmatched: [] })
  expect(second.report.unmatched).toEqual(['scope.users[1]'])
})
