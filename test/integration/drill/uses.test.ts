import { expect, test } from 'vitest'
import { identityOfUse } from '../../../cli/drill/comeback.ts'
import { findUses } from '../../../cli/drill/uses.ts'
import { identities } from '../../../lambda/core/churn.ts'
import { takeSnapshot } from '../../../lambda/postgres/snapshot.ts'
import { REAPER_ROLES, testServer } from '../../support/server.ts'

const LIMIT_MS = 30_000
const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')

async function useOf(pid: number) {
  const link = await db.link(reaper)
  const uses = await findUses(link, LIMIT_MS)
  await link.close()
  return uses.find((use) => use.pid === pid)
}

test.each<[string, string, string | null]>([
  ['', 'discard all', 'pgbouncer'],
  ['', 'select * from "jobs" where "queue" = 1', 'laravel'],
  ['', 'DEALLOCATE pdo_stmt_00000001', 'pdo'],
  ['', 'select name from pgboss.job', 'pg-boss'],
  ['', 'SELECT "public"."User"."id" FROM "public"."User"', 'node-orm'],
  ['postgres.js', 'select 1', 'postgres.js'],
  ['', 'SELECT "django_session"."session_key" FROM "django_session"', 'django'],
  ['', 'SELECT users.id AS users_id FROM users', 'sqlalchemy'],
  ['PostgreSQL JDBC Driver', 'select 1', 'jdbc'],
  ['puma: cluster worker 1', 'select 1', 'activerecord'],
  ['', 'DEALLOCATE "a1"', 'activerecord'],
  ['', 'deallocate "lrupsc_1_0"', 'pgx-v4'],
  ['', '-- ping', 'go-sql'],
  ['shop', 'select 1', null],
  ['railsomething', 'select 1', null],
])('a session named %j with the last query %j shows the library %j', async (name, sql, library) => {
  const { client, pid } = await db.open(app, name)
  // Most of these queries fail here, and are the last query all the same.
  await client.query(sql).catch(() => undefined)
  await db.settled(pid)
  expect(await useOf(pid)).toMatchObject({ library })
})

test('a session shows when it was last used, or that it never was', async () => {
  const { client, pid } = await db.open(app, 'shop')
  expect(await useOf(pid)).toMatchObject({ usedAt: null })
  const now = async () => {
    const { rows } = await db.admin.query(
      'select extract(epoch from clock_timestamp())::float8 as now',
    )
    return rows[0].now as number
  }
  const before = await now()
  await client.query('select 1')
  await db.settled(pid)
  const { usedAt, backendStart } = (await useOf(pid)) ?? {}
  expect(usedAt).toBeGreaterThan(before)
  expect(usedAt).toBeLessThan(await now())
  expect(Number(backendStart)).toBeLessThan(before)
})

test('a use has the identity of its session, whatever digits the time of its start ends with', async () => {
  // One start in ten has a zero in the last place, which one way of writing shows and another one does not.
  const pids: number[] = []
  const endsWithZero = async () => {
    const { rows } = await db.admin.query(
      `select 1 from pg_stat_activity
        where pid = any($1) and extract(microseconds from backend_start)::int % 10 = 0`,
      [pids],
    )
    return rows.length > 0
  }
  do pids.push((await db.open(app, 'shop', 'select 1')).pid)
  while (!(await endsWithZero()) && pids.length < 80)
  const link = await db.link(reaper)
  const [uses, { sessions }] = [await findUses(link, LIMIT_MS), await takeSnapshot(link, LIMIT_MS)]
  await link.close()
  const ours = (pid: number) => pids.includes(pid)
  expect(new Set(uses.filter(({ pid }) => ours(pid)).map(identityOfUse))).toEqual(
    identities(sessions.filter(({ pid }) => ours(pid))),
  )
})
