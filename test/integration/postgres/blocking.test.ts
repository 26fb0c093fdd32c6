import { expect, test } from 'vitest'
import { findSleepers } from '../../../cli/causes.ts'
import { findWaiting } from '../../../lambda/postgres/blocking.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'

const LOOK_MS = 5_000

const db = await testServer({ max_prepared_transactions: '2' })
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app', [], 'superuser')
await db.admin.query('create table orders (id int primary key, n int)')
await db.admin.query('create table stock (id int)')
await db.admin.query('insert into orders values (1, 1), (2, 1)')

/** A session whose statement waits for a lock. */
async function waiter(application: string, ...statements: string[]) {
  const session = await db.open(app, application, ...statements.slice(0, -1))
  const done = session.client.query(statements.at(-1) ?? '')
  done.catch(() => undefined)
  await until(async () => {
    const { rows } = await db.admin.query(
      "select 1 from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'",
      [session.pid],
    )
    return rows.length === 1
  })
  return { ...session, done }
}

async function sleepers() {
  const link = await db.link(reaper)
  const snapshot = await takeSnapshot(link, LOOK_MS)
  const waiting = await findWaiting(link, LOOK_MS)
  await link.close()
  return {
    waiting,
    found: findSleepers(snapshot, waiting).map(({ session, waiting }) => [
      session.pid,
      waiting.map(({ session }) => session.pid).sort(),
    ]),
  }
}

test('reports direct and indirect waits', async () => {
  expect((await sleepers()).waiting).toEqual([])
  const harmless = await db.open(app, 'harmless', 'begin', 'select 1')
  const cart = await db.open(app, 'cart', 'begin', 'update orders set n = 2 where id = 1')
  const first = await waiter('first', 'update orders set n = 3 where id = 1')
  const second = await waiter('second', 'update orders set n = 4 where id = 1')
  // Holds a lock of its own while it waits for the cart, so that the third waits for the cart too.
  const middle = await waiter(
    'middle',
    'begin',
    'lock table stock',
    'update orders set n = 5 where id = 1',
  )
  const third = await waiter('third', 'begin', 'lock table stock')

  const { found, waiting } = await sleepers()
  expect(found[0]).toEqual([cart.pid, [first.pid, second.pid, middle.pid, third.pid].sort()])
  expect(found).toContainEqual([harmless.pid, []])
  expect(waiting.map(({ pid }) => pid)).toContain(first.pid)
  for (const { seconds } of waiting) expect(seconds).toBeGreaterThanOrEqual(0)
  expect(JSON.stringify(waiting)).not.toContain('update')

  await cart.client.query('rollback')
  // In whatever order the server lets them on.
  const rollback = async ({ client, done }: typeof middle) => {
    await done
    await client.query('rollback')
  }
  await Promise.all([first.done, second.done, rollback(middle), rollback(third)])
})

test('a prepared transaction blocks others and is not an idle session', async () => {
  const session = await db.open(app, 'two-phase-2', 'begin', 'lock table stock')
  await session.client.query("prepare transaction 'p'")
  const blocked = await waiter('blocked', 'begin', 'lock table stock')
  const { found, waiting } = await sleepers()
  expect(waiting).toEqual([{ pid: blocked.pid, blockedBy: [0], seconds: expect.any(Number) }])
  expect(found.map(([, waiters]) => waiters)).toEqual(found.map(() => []))
  await db.admin.query("rollback prepared 'p'")
  await blocked.done
})
