import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Role, testServer } from '../support/server.ts'

// The SQL of docs/operations.md, as a person pastes it.

const runbook = readFileSync('docs/operations.md', 'utf8')
const blocks = [...runbook.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, sql = '']) => sql.trim())

const blockWith = (part: string) => blocks.find((sql) => sql.includes(part)) ?? ''

const db = await testServer()
let app: Role

beforeAll(async () => {
  app = await db.role('shop_app')
  await db.role('slotkeeper')
})

describe('each statement runs', () => {
  // What ends a process by its number has a test of its own below.
  test.each(blocks.filter((sql) => !sql.includes('12345')))('%s', async (sql) => {
    const results = [await db.admin.query(sql)].flat()
    for (const { command } of results) expect(['SELECT', 'GRANT', 'ALTER']).toContain(command)
  })
})

test('the statement that ends sessions ends old idle ones of that role, and spares the others', async () => {
  await db.admin.query('alter role shop_app connection limit -1')
  const stranger = await db.role('crm_app')
  const victim = await db.open(app, 'php', 'select 1')
  const spared = await Promise.all([
    db.open(stranger, 'php', 'select 1'),
    db.open(app, 'listener', 'LISTEN orders'),
    db.open(app, 'migration', 'select pg_advisory_lock(42)'),
    db.open(app, 'transaction', 'begin', 'select 1'),
  ])
  const here = (sql: string) => sql.replace("datname = 'shop'", "datname = 'postgres'")
  const atOnce = (sql: string) => sql.replace('5 minutes', '0')
  const [look = '', end = ''] = blocks.filter((sql) => sql.includes("state = 'idle'\n"))
  for (const statement of [look, end]) {
    expect((await db.admin.query(here(statement))).rows).toEqual([])
    // The same role in another database.
    expect((await db.admin.query(atOnce(statement))).rows).toEqual([])
    const { rows } = await db.admin.query(here(atOnce(statement)))
    expect(rows.map(({ pid }) => pid)).toEqual([victim.pid])
  }
  await victim.ended
  for (const session of spared) expect(session.isAlive()).toBe(true)

  const open = here(atOnce(blockWith("'idle in transaction%'")))
  const { rows } = await db.admin.query(open)
  expect(rows.map(({ application_name }) => application_name)).toEqual(['transaction'])
})

test('the statements that look for old and blocking transactions name both sides', async () => {
  await db.admin.query('create table orders (); grant all on orders to shop_app')
  const holder = await db.open(app, 'holder', 'begin', 'lock table orders')
  const waiter = await db.open(app, 'waiter')
  const waiting = waiter.client.query('begin; lock table orders').catch(() => undefined)
  const blocked = blockWith('blocked_by')
  await expect
    .poll(async () => (await db.admin.query(blocked)).rows, { timeout: 30_000 })
    .toMatchObject([{ pid: waiter.pid, blocked_by: [holder.pid] }])
  const { rows } = await db.admin.query(blockWith('open_for'))
  expect(rows[0]).toMatchObject({ pid: holder.pid, state: 'idle in transaction' })
  const end = blockWith('pg_terminate_backend(12345)')
  await db.admin.query(end.replace('12345', String(holder.pid)))
  await holder.ended
  await waiting
})
