import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import type { ClusterReport, InstanceFailure } from '../../../lambda/core/cluster-report.ts'
import type { Report } from '../../../lambda/core/report.ts'
import { startAws } from '../../../stand-ins/aws.ts'
import type { Lambda } from '../../../stand-ins/lambda.ts'
import { CLUSTER, hostOf, READERS, testAurora } from '../../support/aurora.ts'
import { entries, SECRET, secretOf } from '../../support/function.ts'
import { REAPER_ROLES, until } from '../../support/server.ts'

const aurora = await testAurora(['shop-1', 'shop-2', 'shop-3'], {
  max_connections: '20',
  superuser_reserved_connections: '2',
})
const [writer, second, third] = aurora.instances as [Instance, Instance, Instance]
type Instance = (typeof aurora.instances)[number]
const reaper = await aurora.role('reaper', REAPER_ROLES)
const app = await aurora.role('shop_app')
const aws = await startAws({})
afterAll(() => aws.close())

let lambda: Lambda

beforeEach(async () => {
  aws.secrets.set(SECRET, secretOf({ host: CLUSTER, port: aurora.port }, reaper))
  aurora.say('shop-1', 'shop-2', 'shop-3')
  aurora.lead(CLUSTER, 'shop-1')
  aurora.lead(READERS, undefined)
  for (const { id } of aurora.instances) aurora.lead(hostOf(id), id)
  lambda = await aurora.start(aws.url)
})
afterEach(async () => {
  await lambda.stop()
  for (const instance of aurora.instances) instance.recover()
  for (const instance of aurora.instances) await until(async () => (await own(instance)) === 0)
  aws.puts.length = 0
  aws.secretReads.length = 0
})

/** The sessions of the function on one instance. */
async function own({ db }: Instance): Promise<number> {
  const { rowCount } = await db.admin.query(
    "select from pg_stat_activity where application_name = 'slotkeeper'",
  )
  return rowCount ?? 0
}

async function sweep(): Promise<ClusterReport> {
  const { ok, payload } = await lambda.invoke({})
  expect(payload).not.toHaveProperty('errorMessage')
  expect(ok).toBe(true)
  return payload as ClusterReport
}

const names = ({ instances }: ClusterReport) => instances.map(({ target }) => target)
const reports = ({ instances }: ClusterReport) => instances as Report[]
const failure = ({ instances }: ClusterReport, id: string) =>
  instances.find(({ target }) => target === `shop/${id}`) as InstanceFailure

/** The last published value of a metric: of the cluster, or of one instance. */
function metric(name: string, instance?: string): number[] | undefined {
  return aws.puts.at(-1)?.MetricData.find(({ MetricName, Dimensions = [] }) => {
    const of = Dimensions.find(({ Name }) => Name === 'Instance')?.Value
    return MetricName === name && of === instance
  })?.Values
}

test('sweeps every instance, and keeps a connection to each', async () => {
  const victims = await Promise.all(aurora.instances.map(({ db }) => db.open(app, 'php')))
  await third.db.open(app, 'php', 'listen jobs')
  const first = await sweep()
  expect(Object.keys(first)).toEqual(['target', 'mode', 'at', 'durationMs', 'instances'])
  expect(first).toMatchObject({ target: 'shop', mode: 'reap' })
  expect(names(first)).toEqual(['shop/shop-1', 'shop/shop-2', 'shop/shop-3'])
  for (const { reaped } of reports(first)) expect(reaped).toMatchObject([{ application: 'php' }])
  await Promise.all(victims.map(({ ended }) => ended))
  expect(metric('SessionsReaped')).toEqual([3])
  expect(metric('SessionsReaped', 'shop-2')).toEqual([1])
  expect(metric('SessionsSpared')).toEqual([1])
  expect(metric('SweepSucceeded')).toEqual([1])
  expect(metric('SlotsMax')).toEqual([20])

  const again = await sweep()
  expect(reports(again).map(({ entry }) => entry)).toEqual(['warm', 'warm', 'warm'])
  for (const instance of aurora.instances) expect(await own(instance)).toBe(1)
  expect(aws.secretReads).toHaveLength(1)
})

test('follows readers that join and leave, and a writer that fails over', async () => {
  aurora.say('shop-1')
  expect(names(await sweep())).toEqual(['shop/shop-1'])

  aurora.say('shop-1', 'shop-2', 'shop-3')
  const joined = await third.db.open(app, 'php')
  const scaled = await sweep()
  expect(names(scaled)).toEqual(['shop/shop-1', 'shop/shop-2', 'shop/shop-3'])
  await joined.ended
  expect(entries(lambda).at(-1)).toMatchObject({
    message: 'cluster sweep',
    writer: 'shop-1',
    joined: ['shop-2', 'shop-3'],
    left: [],
  })

  // The cluster's name still leads to the old writer, which restarts as a reader.
  aurora.say('shop-2', 'shop-1', 'shop-3')
  writer.proxy.cut()
  const failedOver = await sweep()
  expect(names(failedOver)).toEqual(['shop/shop-2', 'shop/shop-1', 'shop/shop-3'])
  expect(reports(failedOver).map(({ entry }) => entry)).toEqual(['warm', 'client', 'warm'])

  aurora.say('shop-2', 'shop-1')
  expect(names(await sweep())).toEqual(['shop/shop-2', 'shop/shop-1'])
  expect(entries(lambda).at(-1)).toMatchObject({ writer: 'shop-2', left: ['shop-3'] })
  await until(async () => (await own(third)) === 0)
})

test('a reader that hangs stops no other instance, and is in the report with its error', async () => {
  await sweep()
  third.hang()
  const victims = [await writer.db.open(app, 'php'), await second.db.open(app, 'php')]
  const report = await sweep()
  expect(names(report)).toEqual(['shop/shop-1', 'shop/shop-2', 'shop/shop-3'])
  for (const { reaped } of reports(report).slice(0, 2)) expect(reaped).toHaveLength(1)
  await Promise.all(victims.map(({ ended }) => ended))
  expect(Object.keys(failure(report, 'shop-3'))).toEqual(['target', 'error'])
  expect(failure(report, 'shop-3').error).toMatchObject({ kind: 'unreachable' })
  expect(failure(report, 'shop-3').error.message).toContain(hostOf('shop-3'))
  expect(metric('SweepSucceeded')).toEqual([0])
  expect(metric('SweepSucceeded', 'shop-1')).toEqual([1])
  expect(metric('SweepSucceeded', 'shop-3')).toEqual([0])
  expect(metric('SlotsUsedPercent')).toBeDefined()
  expect(metric('SlotsUsedPercent', 'shop-3')).toBeUndefined()
  expect(entries(lambda)).toContainEqual(
    expect.objectContaining({
      level: 'ERROR',
      message: 'sweep failed',
      target: 'shop/shop-3',
      kind: 'unreachable',
    }),
  )

  third.recover()
  expect(reports(await sweep()).map(({ entry }) => entry)).toEqual(['warm', 'warm', 'client'])
})

test('another instance gives the list if the writer hangs', async () => {
  await sweep()
  writer.hang()
  const victim = await third.db.open(app, 'php')
  const report = await sweep()
  expect(failure(report, 'shop-1').error.kind).toBe('unreachable')
  expect(reports(report).slice(1)).toMatchObject([
    { target: 'shop/shop-2' },
    { target: 'shop/shop-3' },
  ])
  await victim.ended
  for (const instance of [second, third]) await until(async () => (await own(instance)) === 1)
})

test("another instance gives the list if the cluster's name leads to nothing", async () => {
  await sweep()
  aurora.lead(CLUSTER, undefined)
  for (const { proxy } of aurora.instances) proxy.cut()
  expect(reports(await sweep()).map(({ entry }) => entry)).toEqual(['client', 'client', 'client'])
})

test('a reader that the cluster no longer hears from does not count as a failure', async () => {
  aurora.say('shop-1', 'shop-2', { id: 'shop-3', silentSeconds: 120 })
  aurora.lead(hostOf('shop-3'), undefined)
  const report = await sweep()
  expect(failure(report, 'shop-3').error).toMatchObject({ kind: 'unreachable' })
  expect(failure(report, 'shop-3').error.message).toContain('does not count as a failure')
  expect(metric('SweepSucceeded')).toEqual([1])
  expect(entries(lambda)).toContainEqual(
    expect.objectContaining({
      level: 'WARN',
      message: 'instance is leaving',
      target: 'shop/shop-3',
    }),
  )
  aurora.say('shop-1', 'shop-2', { id: 'shop-3', silentSeconds: 301 })
  expect(names(await sweep())).toEqual(['shop/shop-1', 'shop/shop-2'])
})

test('sends no password to an instance without a certificate for its own name', async () => {
  aurora.lead(hostOf('shop-3'), 'shop-2')
  const report = await sweep()
  expect(failure(report, 'shop-3').error).toMatchObject({ kind: 'tls' })
  expect(failure(report, 'shop-3').error.message).toContain(
    `the certificate of ${hostOf('shop-3')}:${aurora.port} is for another host name`,
  )
  expect(await own(second)).toBe(1)
})

test('a full reader that lets no sweep in is exhausted, and tells of no room elsewhere', async () => {
  const fillers = await third.db.fill(app)
  const report = await sweep()
  expect(failure(report, 'shop-3').error.kind).toBe('exhausted')
  expect(metric('Exhausted')).toEqual([1])
  expect(metric('Exhausted', 'shop-1')).toEqual([0])
  expect(metric('SlotsUsedPercent')).toBeUndefined()
  expect(metric('SessionsActive')).toBeDefined()
  await third.db.end(fillers)
})

test('a new environment sweeps the readers if the writer is full', async () => {
  const fillers = await writer.db.fill(app)
  aurora.lead(READERS, 'shop-2')
  const victim = await third.db.open(app, 'php')
  const report = await sweep()
  expect(failure(report, 'shop-1').error.kind).toBe('exhausted')
  expect(reports(report).slice(1)).toMatchObject([
    { reaped: [] },
    { reaped: [{ pid: victim.pid }] },
  ])
  await victim.ended
  expect(metric('Exhausted')).toEqual([1])
  expect(metric('SweepSucceeded')).toEqual([0])
  await writer.db.end(fillers)
})

test('fails if every instance fails, and says why for each', async () => {
  aws.secrets.set(
    SECRET,
    secretOf({ host: CLUSTER, port: aurora.port }, { ...reaper, password: 'another' }),
  )
  const listless = await lambda.invoke({})
  expect(listless).toMatchObject({
    ok: false,
    payload: { errorType: 'Slotkeeper.authentication' },
  })
  expect(metric('SweepSucceeded')).toEqual([0])

  aws.secrets.set(SECRET, secretOf({ host: CLUSTER, port: aurora.port }, reaper))
  await sweep()
  const revoke = 'on function pg_catalog.pg_stat_get_activity(integer)'
  for (const { db } of aurora.instances)
    await db.admin.query(`revoke execute ${revoke} from public`)
  const { ok, payload } = await lambda.invoke({})
  for (const { db } of aurora.instances) await db.admin.query(`grant execute ${revoke} to public`)
  expect(ok).toBe(false)
  expect(payload).toMatchObject({ errorType: 'Slotkeeper.rights' })
  for (const { id } of aurora.instances) {
    expect((payload as { errorMessage: string }).errorMessage).toContain(
      `${id}: role reaper may not`,
    )
  }
  expect(metric('SweepSucceeded')).toEqual([0])
})

test('writes one line of embedded metrics for the cluster, and one for each instance', async () => {
  await lambda.stop()
  lambda = await aurora.start(aws.url, { SLOTKEEPER_METRICS: 'emf' })
  await sweep()
  const lines = entries(lambda).filter((line) => '_aws' in line)
  expect(lines.map(({ Target, Instance }) => [Target, Instance])).toEqual([
    ['shop', undefined],
    ['shop', 'shop-1'],
    ['shop', 'shop-2'],
    ['shop', 'shop-3'],
  ])
  expect(lines.map(({ _aws }) => _aws.CloudWatchMetrics[0].Dimensions)).toEqual([
    [['Target']],
    [['Target', 'Instance']],
    [['Target', 'Instance']],
    [['Target', 'Instance']],
  ])
  expect(lines.map(({ SlotsMax }) => SlotsMax)).toEqual([20, 20, 20, 20])
})

test('records the snapshot of each instance, with what it ended there', async () => {
  await lambda.stop()
  lambda = await aurora.start(aws.url, { SLOTKEEPER_RECORD: 'on' })
  const victim = await second.db.open(app, 'php')
  await sweep()
  await victim.ended
  const lines = entries(lambda).filter((line) => 'slotkeeperRecording' in line)
  expect(lines.map(({ target }) => target)).toEqual(['shop/shop-1', 'shop/shop-2', 'shop/shop-3'])
  const ENDED = 1
  const endedIn = ({ sessions }: { sessions: number[][] }) =>
    sessions.filter(([, , , , , flags = 0]) => flags & ENDED).map(([, pid]) => pid)
  expect(lines.map(endedIn)).toEqual([[], [victim.pid], []])
})

test('the essential set has metrics of the cluster alone', async () => {
  await lambda.stop()
  lambda = await aurora.start(aws.url, { SLOTKEEPER_METRIC_SET: 'essential' })
  await sweep()
  const published = aws.puts.at(-1)?.MetricData ?? []
  expect(published.map(({ MetricName }) => MetricName).sort()).toEqual([
    'Exhausted',
    'SessionsReaped',
    'SlotsUsedPercent',
    'SweepSucceeded',
  ])
  expect(published.every(({ Dimensions }) => Dimensions?.length === 1)).toBe(true)
})

test.each([
  ['127.0.0.11', 'an address'],
  ['db.example.com', 'an alias (CNAME)'],
  [hostOf('shop-1'), 'the endpoint of one instance'],
  [`shop.proxy-${hostOf('x').slice(2)}`, 'RDS Proxy'],
  [`shop.shardgrp-${hostOf('x').slice(2)}`, 'a shard group'],
])('does not start with the host %s', async (host, what) => {
  await lambda.stop()
  lambda = await aurora.start(aws.url, { SLOTKEEPER_HOST: host })
  const { ok, payload } = await lambda.invoke({})
  expect(ok).toBe(false)
  expect(payload).toMatchObject({ errorType: 'Slotkeeper.settings' })
  expect((payload as { errorMessage: string }).errorMessage).toContain(what)
})

test('takes the endpoint from the secret, in capital letters and with a dot at its end', async () => {
  await lambda.stop()
  const host = `${CLUSTER.toUpperCase()}.`
  aws.secrets.set(SECRET, secretOf({ host, port: aurora.port }, reaper))
  lambda = await aurora.start(aws.url, { SLOTKEEPER_HOST: undefined })
  expect(names(await sweep())).toEqual(['shop/shop-1', 'shop/shop-2', 'shop/shop-3'])
})
