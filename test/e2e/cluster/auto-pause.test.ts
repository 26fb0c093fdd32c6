import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import type { ClusterReport } from '../../../lambda/core/cluster-report.ts'
import { startAws } from '../../../stand-ins/aws.ts'
import type { Lambda } from '../../../stand-ins/lambda.ts'
import { CLUSTER, testAurora } from '../../support/aurora.ts'
import { entries, SECRET, secretOf } from '../../support/function.ts'
import { REAPER_ROLES, until } from '../../support/server.ts'

const aurora = await testAurora(['shop-1', 'shop-2'], { log_connections: 'on' })
const reaper = await aurora.role('reaper', REAPER_ROLES)
const app = await aurora.role('shop_app')
const aws = await startAws({ [SECRET]: secretOf({ host: CLUSTER, port: aurora.port }, reaper) })
afterAll(() => aws.close())
const [writer, second] = aurora.instances as [Instance, Instance]
type Instance = (typeof aurora.instances)[number]

let lambda: Lambda
/** How often a connection was attempted, to any instance. */
let attempts = 0
for (const { proxy } of aurora.instances) {
  proxy.judge = () => {
    attempts += 1
    return 'pass'
  }
}

beforeEach(async () => {
  aws.samples.clear()
  lambda = await aurora.start(aws.url, { SLOTKEEPER_AUTO_PAUSE: 'on' })
})
afterEach(async () => {
  await lambda.stop()
  for (const instance of aurora.instances) await until(async () => (await own(instance)) === 0)
  aws.puts.length = 0
  aws.metricReads.length = 0
  attempts = 0
})

async function own({ db }: Instance): Promise<number> {
  const { rowCount } = await db.admin.query(
    "select from pg_stat_activity where application_name = 'slotkeeper'",
  )
  return rowCount ?? 0
}

/** What RDS has published of this minute: capacity and connections of the cluster and of its instances. */
function publish(
  of: Record<string, [capacity: number | undefined, connections: number | undefined]>,
) {
  const at = Date.now() / 1000
  for (const [id, [capacity, connections]] of Object.entries(of)) {
    const dimension = id === 'shop' ? 'DBClusterIdentifier' : 'DBInstanceIdentifier'
    for (const [name, value] of [
      ['ServerlessDatabaseCapacity', capacity],
      ['DatabaseConnections', connections],
    ] as const) {
      const samples = value === undefined ? [] : [{ at, value }]
      aws.samples.set(`AWS/RDS/${name} ${dimension}=${id}`, samples)
    }
  }
}

async function sweep(): Promise<ClusterReport> {
  const { ok, payload } = await lambda.invoke({})
  expect(payload).not.toHaveProperty('errorMessage')
  expect(ok).toBe(true)
  return payload as ClusterReport
}

function metric(name: string, instance?: string): number[] | undefined {
  return aws.puts.at(-1)?.MetricData.find(({ MetricName, Dimensions = [] }) => {
    const of = Dimensions.find(({ Name }) => Name === 'Instance')?.Value
    return MetricName === name && of === instance
  })?.Values
}

const published = () => aws.puts.at(-1)?.MetricData.map(({ MetricName }) => MetricName)

test.each<[string, [number | undefined, number | undefined], string, boolean]>([
  ['is paused', [0, 0], 'it is paused', false],
  ['is paused, and its connections are not known', [0, undefined], 'it is paused', false],
  ['is deserted', [0.5, 0], 'nobody else is connected', false],
  ['has no capacity in CloudWatch', [undefined, 12], 'no ServerlessDatabaseCapacity', true],
  ['has no connections in CloudWatch', [2, undefined], 'no DatabaseConnections', true],
  ['is not in CloudWatch', [undefined, undefined], 'no ServerlessDatabaseCapacity', true],
])('makes no connection to a cluster that %s', async (_, usage, why, inDoubt) => {
  publish({ shop: usage })
  const report = await sweep()
  expect(report).toMatchObject({ target: 'shop', mode: 'reap', instances: [] })
  expect(report.stayedAway).toMatchObject([
    { target: 'shop', why: expect.stringContaining(why), inDoubt },
  ])
  expect(attempts).toBe(0)
  expect(published()).toEqual(['SweepSucceeded', 'SweepDuration', 'Paused'])
  expect(metric('Paused')).toEqual([1])
  expect(metric('SweepSucceeded')).toEqual([1])
  expect(entries(lambda)).toContainEqual(
    expect.objectContaining({
      level: inDoubt ? 'WARN' : 'INFO',
      message: inDoubt ? 'stays away in doubt' : 'stays away',
      why: expect.stringContaining(why),
    }),
  )
})

test('makes no connection, and fails, if CloudWatch does not answer', async () => {
  await lambda.stop()
  lambda = await aurora.start(aws.url, {
    SLOTKEEPER_AUTO_PAUSE: 'on',
    SLOTKEEPER_METRICS: 'emf',
    AWS_ENDPOINT_URL_CLOUDWATCH: 'http://127.0.0.1:1',
  })
  const { ok, payload } = await lambda.invoke({})
  expect(ok).toBe(false)
  expect(payload).toMatchObject({ errorType: 'Slotkeeper.unreachable' })
  expect((payload as { errorMessage: string }).errorMessage).toContain(
    'CloudWatch did not say whether the cluster is paused, so no connection was made',
  )
  expect(attempts).toBe(0)
})

test('sweeps while others are connected, and gives its connections back when it is the last one there', async () => {
  publish({ shop: [2, 5], 'shop-1': [2, 5], 'shop-2': [1, 3] })
  const victim = await second.db.open(app, 'php')
  const report = await sweep()
  expect(report.instances.map(({ target }) => target)).toEqual(['shop/shop-1', 'shop/shop-2'])
  await victim.ended
  expect(metric('Paused')).toEqual([0])
  expect(metric('Paused', 'shop-2')).toEqual([0])
  for (const instance of aurora.instances) expect(await own(instance)).toBe(1)

  // One connection is the function's own.
  publish({ shop: [2, 1], 'shop-1': [2, 1], 'shop-2': [1, 1] })
  expect((await sweep()).stayedAway).toMatchObject([{ target: 'shop' }])
  for (const instance of aurora.instances) await until(async () => (await own(instance)) === 0)
  // CloudWatch is late, and counts the connection that was closed.
  expect((await sweep()).stayedAway).toMatchObject([{ target: 'shop' }])
  for (const instance of aurora.instances) expect(await own(instance)).toBe(0)
})

test('sweeps if the only connection is not its own', async () => {
  publish({ shop: [0.5, 1], 'shop-1': [0.5, 1], 'shop-2': [0.5, 0] })
  const report = await sweep()
  expect(report.instances.map(({ target }) => target)).toEqual(['shop/shop-1'])
})

test('wakes no reader that pauses on its own', async () => {
  publish({ shop: [2, 5], 'shop-1': [2, 5], 'shop-2': [0, 0] })
  const report = await sweep()
  expect(report.instances.map(({ target }) => target)).toEqual(['shop/shop-1'])
  expect(report.stayedAway).toMatchObject([{ target: 'shop/shop-2', inDoubt: false }])
  expect(await own(second)).toBe(0)
  expect(metric('Paused')).toEqual([0])
  expect(metric('Paused', 'shop-1')).toEqual([0])
  expect(metric('Paused', 'shop-2')).toEqual([1])
  expect(await own(writer)).toBe(1)
})

test('asks CloudWatch about the last five minutes, by the identifiers of RDS', async () => {
  publish({ shop: [0, 0] })
  await sweep()
  const [asked] = aws.metricReads
  expect((asked?.EndTime ?? 0) - (asked?.StartTime ?? 0)).toBe(300)
  expect(asked?.MetricDataQueries).toMatchObject([
    {
      MetricStat: {
        Metric: {
          Namespace: 'AWS/RDS',
          MetricName: 'ServerlessDatabaseCapacity',
          Dimensions: [{ Name: 'DBClusterIdentifier', Value: 'shop' }],
        },
        Period: 60,
      },
    },
    { MetricStat: { Metric: { MetricName: 'DatabaseConnections' }, Stat: 'Maximum' } },
  ])
})
