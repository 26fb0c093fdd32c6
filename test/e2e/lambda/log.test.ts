import { expect, test } from 'vitest'
import type { Lambda } from '../../../stand-ins/lambda.ts'
import { entries } from '../../support/function.ts'
import { app, aws, db, emptied, metric, report, start } from '../../support/lambda.ts'
import { until } from '../../support/server.ts'

test('each log line has the request ID of its invocation', async () => {
  await emptied()
  const lambda = await start({ SLOTKEEPER_METRICS: 'emf' })
  await report(lambda)
  await lambda.invoke({ mode: 'observ' })
  const ids = entries(lambda).map(({ requestId }) => requestId)
  expect(ids.length).toBeGreaterThan(2)
  expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/)
  expect(new Set(ids.slice(0, -1))).toEqual(new Set([ids[0]]))
  expect(ids.at(-1)).not.toBe(ids[0])
})

/** As Logs Insights finds them: each value that is no object or list. */
const fieldsOf = (value: unknown): number =>
  typeof value === 'object' && value !== null
    ? Object.values(value).reduce((sum: number, inner) => sum + fieldsOf(inner), 0)
    : 1

test('the number of fields in the sweep line does not grow with the sessions reaped', async () => {
  const lambda = await start()
  await report(lambda, { mode: 'observe' })
  const before = fieldsOf(entries(lambda).at(-1))
  await emptied()
  const leak = await Promise.all([1, 2, 3, 4, 5, 6].map(() => db.open(app, 'leaky')))
  const swept = await report(lambda)
  expect(swept.reaped).toHaveLength(leak.length)
  expect(fieldsOf(entries(lambda).at(-1))).toBeLessThan(before + leak.length)
  expect(before).toBeLessThan(100)
  await Promise.all(leak.map(({ ended }) => ended))
})

test('logs the user, application and client of a session that it may not end', async () => {
  const powerless = await db.role('powerless', ['pg_monitor'])
  const lambda = await start({}, powerless)
  const victim = await db.open(app, 'php')
  // A look says it before anybody is to be ended.
  for (const mode of ['observe', 'reap']) {
    expect(await report(lambda, { mode })).toMatchObject({ cannotSignal: true })
    const warning = entries(lambda).filter(({ message }) => message === 'cannot signal')
    expect(warning.at(-1)).toMatchObject({
      level: 'WARN',
      target: 'shop',
      why: expect.stringContaining('GRANT pg_signal_backend TO "powerless";'),
    })
    expect(warning).toHaveLength(mode === 'observe' ? 1 : 2)
  }
  const swept = await report(lambda)
  expect(swept.refused).toMatchObject([{ pid: victim.pid, sqlstate: '42501' }])
  expect(entries(lambda).find(({ message }) => message === 'refused')).toMatchObject({
    level: 'WARN',
    message: 'refused',
    pid: victim.pid,
    sqlstate: '42501',
    error: swept.refused[0]?.message,
    user: 'shop_app',
    application: 'php',
    client: '127.0.0.1',
  })
})

test('in mode observe without a policy, uses the policy "incident" and warns once', async () => {
  const lambda = await start({ SLOTKEEPER_MODE: 'observe', SLOTKEEPER_POLICY: 'incident' })
  const without = await start({ SLOTKEEPER_MODE: 'observe', SLOTKEEPER_POLICY: undefined })
  const rules = ['idle', 'crowd', 'slotkeeper:orphan']
  for (const one of [lambda, without, without]) {
    expect((await report(one)).rules.map(({ name }) => name)).toEqual(rules)
  }
  const told = (one: Lambda) => entries(one).filter(({ message }) => message === 'no policy given')
  expect(told(lambda)).toEqual([])
  expect(told(without)).toMatchObject([
    { level: 'WARN', target: 'shop', why: expect.stringContaining('SLOTKEEPER_POLICY is not set') },
  ])
})

test('warns in each sweep about a scope without matches, and once about each entry', async () => {
  const lambda = await start({
    SLOTKEEPER_POLICY: JSON.stringify({
      scope: { users: ['shopp_*'] },
      protect: [{ applications: ['pg_dump'] }],
      rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
    }),
  })
  const victim = await db.open(app, 'php')
  for (const _ of [1, 2]) {
    expect(await report(lambda)).toMatchObject({
      inScope: 0,
      unmatched: ['scope.users[0]', 'protect[0]'],
      reaped: [],
    })
  }
  const nobody = { level: 'WARN', message: 'scope meets no session', target: 'shop' }
  const entry = { level: 'INFO', message: 'entry meets no session', target: 'shop' }
  expect(entries(lambda)).toMatchObject([
    { ...nobody, why: expect.stringContaining('scope.users[0] ("shopp_*")') },
    { ...entry, path: 'scope.users[0]', entry: 'shopp_*' },
    { ...entry, path: 'protect[0]', entry: { applications: ['pg_dump'] } },
    { message: 'sweep' },
    nobody,
    { message: 'sweep' },
  ])
  await victim.client.end()
})

test('logs the number of sessions opened, and a pool that reconnects as fast as it is reaped', async () => {
  const lambda = await start()
  expect((await report(lambda)).sessions.opened).toBeNull()
  expect(metric('SessionsOpened')).toBeUndefined()
  const warnings = () =>
    entries(lambda).filter(({ message }) => message === 'reaping does not help')
  for (let sweeps = 1; sweeps <= 4; sweeps += 1) {
    expect(warnings()).toEqual([])
    const leak = await Promise.all([1, 2].map(() => db.open(app, 'leaky')))
    const swept = await report(lambda)
    expect(swept.reaped).toHaveLength(2)
    await Promise.all(leak.map(({ ended }) => ended))
    expect(metric('SessionsOpened')).toEqual([swept.sessions.opened])
  }
  expect(warnings()).toMatchObject([
    {
      level: 'WARN',
      user: 'shop_app',
      application: 'leaky',
      client: '127.0.0.1',
      reaped: 2,
      sweeps: 4,
    },
  ])
  // The server's statistics may lag behind by a second.
  await until(async () => ((await report(lambda)).sessions.opened ?? 0) === 0)
})

test('writes the embedded metric format without a CloudWatch endpoint', async () => {
  const lambda = await start({
    SLOTKEEPER_METRICS: 'emf',
    SLOTKEEPER_METRIC_SET: 'essential',
    SLOTKEEPER_NAMESPACE: 'Mine',
  })
  await report(lambda)
  expect(aws.puts).toEqual([])
  const line = entries(lambda).find((entry) => '_aws' in entry)
  expect(line).toMatchObject({ Target: 'shop', SweepSucceeded: 1, SessionsReaped: 0 })
  expect(line._aws.CloudWatchMetrics).toEqual([
    {
      Namespace: 'Mine',
      Dimensions: [['Target']],
      Metrics: ['SlotsUsedPercent', 'SessionsReaped', 'Exhausted', 'SweepSucceeded'].map(
        (Name) => ({
          Name,
          Unit: Name === 'SlotsUsedPercent' ? 'Percent' : 'Count',
        }),
      ),
    },
  ])
})

test.each([
  ['INFO', undefined],
  ['WARN', 'WARN'],
  ['error', 'ERROR'],
])('at log level %s the metrics are still written', async (least, level) => {
  const lambda = await start({ SLOTKEEPER_METRICS: 'emf', AWS_LAMBDA_LOG_LEVEL: least })
  await emptied()
  const idle = await Promise.all([1, 2].map(() => db.open(app, 'php')))
  await report(lambda, { mode: 'observe' })
  const line = entries(lambda).find((entry) => '_aws' in entry)
  expect(line.level).toBe(level)
  expect(line.timestamp === undefined).toBe(level === undefined)
  expect(line.IdleAge.length).toBeGreaterThanOrEqual(idle.length)
  expect(line.IdleAge.every(Number.isFinite)).toBe(true)
  await report(lambda)
  await Promise.all(idle.map(({ ended }) => ended))
})

test('SessionsWouldReap counts each session once', async () => {
  await emptied()
  const lambda = await start({ SLOTKEEPER_MODE: 'observe' })
  const pool = await Promise.all([1, 2, 3].map(() => db.open(app, 'php')))
  const counts = []
  for (const further of [0, 0, 2]) {
    pool.push(...(await Promise.all(Array.from({ length: further }, () => db.open(app, 'php')))))
    await report(lambda)
    counts.push(metric('SessionsWouldReap'))
  }
  expect(counts).toEqual([[3], [0], [2]])
  await Promise.all(pool.map(({ client }) => client.end()))
})
