import { expect, test } from 'vitest'
import { application, drillFast } from '../../support/drill.ts'
import { type OtherSession, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const db = await testServer()
const shop = await db.role('shop_app', ['pg_monitor'])
const url = db.server.url(shop)
const script = (text: string): [string, ...string[]] => [process.execPath, '-e', text]

test("ends COMMAND's sessions, and none of another application of the same role and host", async () => {
  const others: Promise<OtherSession>[] = [db.open(shop, 'other'), db.open(shop, '')]
  const result = await drillFast(application('survives'), {
    url,
    // In the same moments as COMMAND's own sessions.
    show: (line) => {
      if (line.startsWith('pid')) others.push(db.open(shop, 'other'), db.open(shop, ''))
    },
    tell: () => others.push(db.open(shop, 'slotkeeper-drill-'), db.open(shop, 'slotkeeper')),
    times: 2,
  })
  expect(result).toMatchObject({
    survived: true,
    target: `${db.server.host}:${db.server.port}`,
    cuts: [
      { ended: 4, left: [] },
      { ended: 4, left: [] },
    ],
  })
  const opened = await Promise.all(others)
  expect(opened.length).toBeGreaterThan(6)
  expect(opened.map(({ isAlive }) => isAlive())).toEqual(opened.map(() => true))
})

test('refuses a COMMAND whose sessions have another name, and touches none of them', async () => {
  const said: string[] = []
  const renamed = script(`const client = new (require('pg').Client)({ application_name: 'shop' })
    client.on('error', () => console.log('ended'))
    client.connect().then(() => console.log('connected'))
    setInterval(() => undefined, 60_000)`)
  const drilled = drillFast(renamed, {
    url,
    startMs: 2_000,
    show: (line) => said.push(line),
  })
  await expect(drilled).rejects.toMatchObject({
    kind: 'settings',
    message: expect.stringMatching(
      /no session within 2 s that is named slotkeeper-drill-\w{12}\. Without that name .* none was touched/,
    ),
  })
  expect(said).toEqual(['connected'])
})

test('leaves the sessions of a superuser, and says so', async () => {
  const result = await drillFast(application('asks-once'), {
    url: db.server.url(),
    patienceMs: 500,
  })
  expect(result).toMatchObject({ survived: false, cuts: [] })
  expect(result.conclusion).toContain('1 session: owned by a superuser')
})

test('fails on a role that sees no other sessions, and stops COMMAND', async () => {
  const blind = await db.role('blind')
  await expect(
    drillFast(application('survives'), { url: db.server.url(blind) }),
  ).rejects.toMatchObject({ kind: 'blind', message: expect.stringContaining('pg_monitor') })
})

test('keeps the parameters of the URL, replaces its name, and shows no password', async () => {
  const result = await drillFast(
    script(`console.log(process.env.DATABASE_URL)
      console.log(process.env.PGUSER, process.env.PGPASSWORD, process.env.PGDATABASE)
      const client = new (require('pg').Client)({ connectionString: process.env.DATABASE_URL })
      client.on('error', () => undefined)
      client.connect()
      setInterval(() => undefined, 60_000)`),
    {
      url: `${url}?application_name=mine&sslmode=disable`,
      patienceMs: 300,
      policy: policy({
        scope: { applications: ['slotkeeper-drill-*'] },
        rules: [{ name: 'idle', state: 'idle', olderThan: '15m' }],
      }),
    },
  )
  const [shownUrl = '', variables] = result.lastLines
  expect(shownUrl).toMatch(
    /^postgres:\/\/shop_app:\*\*\*@127\.0\.0\.1:\d+\/postgres\?sslmode=disable&application_name=slotkeeper-drill-\w{12}$/,
  )
  expect(variables).toBe('shop_app *** postgres')
  expect(result.cuts).toMatchObject([{ ended: 1 }])
  expect(result.differences).toContain(
    'the sessions of COMMAND have a name of the drill, which "applications" must match',
  )
})

test('--setup runs on it as the role of the URL', async () => {
  await db.admin.query('create schema shop authorization shop_app')
  const sql = 'create table shop.orders (id int)'
  await drillFast(application('asks-once'), { url, setup: { file: 'a.sql', sql }, patienceMs: 300 })
  const { rows } = await db.admin.query(
    "select tableowner from pg_tables where tablename = 'orders'",
  )
  expect(rows).toEqual([{ tableowner: 'shop_app' }])
})

test('leaves no session of COMMAND behind, not even one in the middle of a statement', async () => {
  const result = await drillFast(
    script(`const { Client } = require('pg')
      for (const sql of ['select 1', 'select pg_sleep(3600)']) {
        const client = new Client()
        client.on('error', () => undefined)
        client.connect().then(() => client.query(sql)).catch(() => undefined)
      }`),
    { url, patienceMs: 1_000 },
  )
  expect(result.cuts).toMatchObject([{ ended: 1, left: [{ sessions: 1, why: 'meets no rule' }] }])
  await until(async () => {
    const { rows } = await db.admin.query(
      "select from pg_stat_activity where application_name like 'slotkeeper-drill-%'",
    )
    return rows.length === 0
  })
})
