import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, inject, test } from 'vitest'
import { type Cluster, createCluster } from '../../../lambda/cluster.ts'
import type { InstanceFailure } from '../../../lambda/core/cluster-report.ts'
import type { Report } from '../../../lambda/core/report.ts'
import { createMembers, type Member, type Members } from '../../../lambda/members.ts'
import { deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { findInstances } from '../../../lambda/postgres/instances.ts'
import { createTarget } from '../../../lambda/target.ts'
import { startPostgres } from '../../../stand-ins/postgres.ts'
import { play } from '../../support/aurora.ts'
import { REAPER_ROLES, restart, type TestServer, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const DOMAIN = 'abc123xyz456.eu-central-1.rds.amazonaws.com'
const CLUSTER = `shop.cluster-${DOMAIN}`
const hostOf = (id: string) => `${id}.${DOMAIN}`

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-cluster-'))
chmodSync(folder, 0o755)
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'status.json')

const [first, second] = await Promise.all([testServer(), testServer()])
for (const [id, db] of [
  ['shop-1', first],
  ['shop-2', second],
] as const) {
  await play(db, id, file)
  await db.role('reaper', REAPER_ROLES)
  await db.role('shop_app')
}
const reaper = { user: 'reaper', password: 'secret of reaper' }
const app = { user: 'shop_app', password: 'secret of shop_app' }

/** What each server says of the cluster; the first instance is the writer. */
function say(...ids: string[]): void {
  const rows = ids.map((server_id, index) => ({
    server_id,
    session_id: index === 0 ? 'MASTER_SESSION_ID' : 'another',
    silent: 0.1,
  }))
  writeFileSync(file, JSON.stringify(rows))
  chmodSync(file, 0o644)
}

const opened: Members[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((members) => members.close()))
})

/** The cluster, as a network leads to it: names to servers. */
function clusterOf(servers: Record<string, { server: { port: number } }>): Cluster {
  const members = createMembers(
    (host = CLUSTER) =>
      async () => {
        const { port } = (servers[host] ?? first).server
        return { ...reaper, host, address: '127.0.0.1', port, database: 'postgres' }
      },
    false,
  )
  opened.push(members)
  const now = policy({
    scope: { users: ['shop_*'] },
    rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
  })
  return createCluster('shop', members, (name, gate) => createTarget(name, now, gate))
}

const both = { [hostOf('shop-1')]: first, [hostOf('shop-2')]: second }
const sweep = async (cluster: Cluster) =>
  (await cluster.sweep('reap', deadlineIn(SWEEP_MS))).report.instances

test('never sweeps one server under two names', async () => {
  say('shop-1', 'shop-2')
  const victim = await first.open(app, 'php')
  const [right, wrong] = await sweep(
    clusterOf({ [hostOf('shop-1')]: first, [hostOf('shop-2')]: first }),
  )
  expect(right).toMatchObject({ target: 'shop/shop-1', reaped: [{ pid: victim.pid }] })
  expect(wrong).toMatchObject({ target: 'shop/shop-2', error: { kind: 'unreachable' } })
  expect((wrong as InstanceFailure).error.message).toContain(
    `${hostOf('shop-2')} leads to instance shop-1, not to shop-2`,
  )
  await until(async () => (await own(first)) === 1)
})

test('tells two servers apart by their start if they do not know their names', async () => {
  say('shop-1', 'shop-2')
  const rename = (from: string, to: string) =>
    first.admin.query(`alter function pg_catalog.${from}() rename to ${to}`)
  await rename('aurora_db_instance_identifier', 'no_identifier')
  const aliased = await sweep(clusterOf({ [hostOf('shop-1')]: first, [hostOf('shop-2')]: first }))
  await rename('no_identifier', 'aurora_db_instance_identifier')
  expect(aliased.filter((one) => 'error' in one)).toMatchObject([
    { error: { kind: 'unreachable' } },
  ])
  expect(aliased.filter((one) => !('error' in one))).toHaveLength(1)
})

async function own({ admin }: TestServer): Promise<number> {
  const { rowCount } = await admin.query(
    "select from pg_stat_activity where application_name = 'slotkeeper'",
  )
  return rowCount ?? 0
}

test('refuses a server that is not Aurora, and names what to do', async () => {
  const alter = (from: string, to: string) =>
    first.admin.query(`alter function pg_catalog.${from}() rename to ${to}`)
  await alter('aurora_replica_status', 'no_status')
  const sweeping = sweep(clusterOf(both))
  await expect(sweeping).rejects.toMatchObject({ kind: 'forbidden' })
  await expect(sweeping).rejects.toThrow('has no function aurora_replica_status()')
  await alter('no_status', 'aurora_replica_status')
})

test('names the grant if the role may not ask for the instances', async () => {
  const all = 'execute on function pg_catalog.aurora_replica_status()'
  await first.admin.query(`revoke ${all} from public`)
  const sweeping = sweep(clusterOf(both))
  await expect(sweeping).rejects.toMatchObject({ kind: 'rights' })
  await expect(sweeping).rejects.toThrow(
    'GRANT EXECUTE ON FUNCTION pg_catalog.aurora_replica_status() TO "reaper"',
  )
  await first.admin.query(`grant ${all} to public`)
})

test.each([
  ['a name that is not one label', ['evil.example.com']],
  ['an address', ['10.0.0.7/x']],
  ['no name', ['']],
  ['no instance', []],
  ['more instances than Aurora has', Array.from({ length: 60 }, (_, index) => `i${index}`)],
])('connects to no server by a list with %s', async (_, ids) => {
  say(...ids)
  await expect(sweep(clusterOf(both))).rejects.toMatchObject({ kind: 'query' })
})

test('takes a function of another schema for no answer of Aurora', async () => {
  say('shop-1', 'shop-2')
  await first.admin.query(`
    create function public.aurora_replica_status() returns table (server_id text) language sql
      as $$ select 'evil.example.com' $$`)
  expect(await sweep(clusterOf(both))).toMatchObject([
    { target: 'shop/shop-1', reaped: [] },
    { target: 'shop/shop-2', reaped: [] },
  ])
  await first.admin.query('drop function public.aurora_replica_status()')
})

test('an instance that is starting fails alone', async () => {
  say('shop-1', 'shop-3')
  const third = await startPostgres({}, inject('release'))
  await restart(third, 'SIGINT', (data) => standby(data, 'off'))
  const cluster = clusterOf({ [hostOf('shop-1')]: first, [hostOf('shop-3')]: { server: third } })
  const victim = await first.open(app, 'php')
  let reader: Report | InstanceFailure | undefined
  await until(async () => {
    const [writer, other] = await sweep(cluster)
    expect(writer).not.toHaveProperty('error')
    reader = other
    return JSON.stringify(other).includes('57P03')
  })
  expect(reader).toMatchObject({ target: 'shop/shop-3', error: { kind: 'unreachable' } })
  await victim.ended
})

test.each([
  [[], '16MB'],
  [['work_mem'], '7MB'],
])('the settings %j keep the value of the role', async (unpinned, expected) => {
  say('shop-1')
  await first.admin.query("alter role reaper set work_mem = '7MB'")
  const credentials = (host = CLUSTER) => {
    const { port } = first.server
    return async () => ({ ...reaper, host, address: '127.0.0.1', port, database: 'postgres' })
  }
  const members = createMembers(credentials, false, { unpinned })
  opened.push(members)
  const [member] = (await members.list(deadlineIn(SWEEP_MS))).members
  const link = await (member as Member).gate.open(deadlineIn(SWEEP_MS))
  expect(await link.query('show work_mem', SWEEP_MS)).toEqual([[{ work_mem: expected }]])
  await link.close()
  await first.admin.query('alter role reaper reset work_mem')
})

test('sweeps a reader, which is a hot standby', async () => {
  say('shop-1', 'shop-2')
  const cluster = clusterOf(both)
  expect((await sweep(cluster)).map(entryOf)).toEqual(['client', 'client'])
  await restart(second.server, 'SIGINT', (data) => standby(data, 'on'))
  await until(() =>
    second.link(reaper).then(
      (link) => link.close().then(() => true),
      () => false,
    ),
  )
  const victim = await second.open(app, 'php')
  await expect(victim.client.query('create table t ()')).rejects.toMatchObject({ code: '25006' })
  await second.settled(victim.pid)
  const [writer, reader] = await sweep(cluster)
  // The connection to the one that did not restart is the same.
  expect([entryOf(writer), entryOf(reader)]).toEqual(['warm', 'client'])
  expect(reader).toMatchObject({ target: 'shop/shop-2', reaped: [{ pid: victim.pid }] })
  await victim.ended
  // The standby gives the list too.
  const list = await second.link(reaper)
  expect(await findInstances(list, SWEEP_MS)).toMatchObject({
    instances: [
      { id: 'shop-1', isWriter: true },
      { id: 'shop-2', isWriter: false },
    ],
  })
  await list.close()
})

const entryOf = (instance: Report | InstanceFailure | undefined) => (instance as Report).entry

/** Makes a server a standby when it starts; only with `hot_standby` does it let anybody in. */
function standby(data: string, hot: 'on' | 'off'): void {
  writeFileSync(join(data, 'standby.signal'), '')
  writeFileSync(join(data, 'postgresql.auto.conf'), `hot_standby = ${hot}\n`)
  if (process.getuid?.() === 0) chownSync(join(data, 'standby.signal'), 65534, 65534)
}
