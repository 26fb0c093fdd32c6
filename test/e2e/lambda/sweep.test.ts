import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import type { Report } from '../../../lambda/core/report.ts'
import { startAws } from '../../../stand-ins/aws.ts'
import type { Lambda } from '../../../stand-ins/lambda.ts'
import { entries, SECRET, secretOf, startFunction } from '../../support/function.ts'
import { REAPER_ROLES, testServer, until } from '../../support/server.ts'

const db = await testServer({ max_connections: '12', superuser_reserved_connections: '2' })
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')
const aws = await startAws({})
afterAll(() => aws.close())

const started: Lambda[] = []
beforeEach(() => {
  aws.secrets.set(SECRET, secretOf(db.server, reaper))
})
afterEach(async () => {
  // Whatever happened, no secret and no query text was written.
  const written = started.flatMap(({ lines }) => lines).join('\n')
  await Promise.all(started.splice(0).map((lambda) => lambda.stop()))
  // Their slots are free for the next one.
  await until(async () => (await ownSessions()) === 0)
  aws.puts.length = 0
  aws.secretReads.length = 0
  expect(written).not.toMatch(/secret of|hush-hush|do not log/)
})

async function ownSessions(): Promise<number> {
  const { rows } = await db.admin.query(
    "select 1 from pg_stat_activity where application_name = 'slotkeeper'",
  )
  return rows.length
}

async function start(
  environment: Record<string, string | undefined> = {},
  role = reaper,
): Promise<Lambda> {
  if (role !== reaper) aws.secrets.set(SECRET, secretOf(db.server, role))
  const lambda = await startFunction(aws.url, environment)
  started.push(lambda)
  return lambda
}

const metric = (name: string) =>
  aws.puts.at(-1)?.MetricData.find(({ MetricName }) => MetricName === name)?.Values

async function report(lambda: Lambda, event: unknown = {}): Promise<Report> {
  const { ok, payload } = await lambda.invoke(event)
  expect(payload).not.toHaveProperty('errorMessage')
  expect(ok).toBe(true)
  return payload as Report
}

/** The server ends a session a moment after its client. */
const emptied = () =>
  until(
    async () =>
      (await db.admin.query("select from pg_stat_activity where usename = 'shop_app'")).rowCount ===
      0,
  )

test('sweeps, publishes every metric in one signed request, and logs why', async () => {
  const lambda = await start()
  const victim = await db.open(app, 'php', "select 'do not log this'")
  const swept = await report(lambda, { source: 'aws.events' })
  expect(swept).toMatchObject({
    target: 'shop',
    mode: 'reap',
    entry: 'client',
    reaped: [{ pid: victim.pid }],
  })
  await victim.ended

  expect(aws.puts).toHaveLength(1)
  expect(aws.puts[0]?.Namespace).toBe('Slotkeeper')
  expect(aws.puts[0]?.MetricData.map(({ MetricName }) => MetricName).sort()).toEqual(
    'Exhausted IdleAge OldestTransactionAge ReapsRefused SessionsActive SessionsIdle SessionsIdleInTransaction SessionsReaped SessionsSpared SlotsAvailable SlotsMax SlotsReserved SlotsUsed SlotsUsedPercent SweepDuration SweepSucceeded'.split(
      ' ',
    ),
  )
  for (const { Dimensions } of aws.puts[0]?.MetricData ?? []) {
    expect(Dimensions).toEqual([{ Name: 'Target', Value: 'shop' }])
  }
  expect(entries(lambda)).toEqual([
    expect.objectContaining({
      level: 'INFO',
      message: 'reaped',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      pid: victim.pid,
      rule: 'now',
      why: expect.stringContaining('idle'),
    }),
    expect.objectContaining({
      level: 'INFO',
      message: 'sweep',
      report: { ...swept, reaped: 1, wouldReap: 0, refused: 0 },
    }),
  ])
})

test('each line of the log names its invocation', async () => {
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

test('the line of a sweep has few fields, however many it reaps', async () => {
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

test('logs whose session it was that it may not end', async () => {
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

test('observes by the policy of the incident where none is given, and says so once', async () => {
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

test('reaps nobody without a policy: it fails, and names the variable', async () => {
  const lambda = await start({ SLOTKEEPER_POLICY: undefined })
  const { ok, payload } = await lambda.invoke({})
  expect(ok).toBe(false)
  expect(payload).toMatchObject({
    errorType: 'Slotkeeper.settings',
    errorMessage: expect.stringContaining('SLOTKEEPER_POLICY: missing; in mode "reap"'),
  })
  expect(aws.secretReads).toEqual([])
})

test('warns each time of a scope that meets nobody, and once of an entry', async () => {
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

test('says how many were opened, and which pool comes back as fast as it is reaped', async () => {
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

test('keeps connection and secret between invocations', async () => {
  const lambda = await start()
  expect((await report(lambda)).entry).toBe('client')
  expect((await report(lambda)).entry).toBe('warm')
  expect(aws.secretReads).toHaveLength(1)
})

test('an event can turn reaping into observing', async () => {
  const lambda = await start()
  const victim = await db.open(app, 'php')
  expect(await report(lambda, { mode: 'observe' })).toMatchObject({
    mode: 'observe',
    reaped: [],
    wouldReap: [{ pid: victim.pid }],
  })
  expect(victim.isAlive()).toBe(true)
  expect(metric('SessionsReaped')).toEqual([0])
  expect(entries(lambda)[0]).toMatchObject({ message: 'would reap', pid: victim.pid })
  await victim.client.end()
})

test('and never observing into reaping', async () => {
  const lambda = await start({ SLOTKEEPER_MODE: 'observe' })
  const victim = await db.open(app, 'php')
  expect((await report(lambda, { mode: 'reap' })).mode).toBe('observe')
  expect(victim.isAlive()).toBe(true)
  await victim.client.end()
})

test('an event of another mode is refused before anything is touched', async () => {
  const lambda = await start()
  const { ok, payload } = await lambda.invoke({ mode: 'observ' })
  expect(ok).toBe(false)
  expect(payload).toMatchObject({
    errorType: 'Slotkeeper.settings',
    errorMessage: expect.stringContaining('"observe"'),
  })
  expect(entries(lambda)).toMatchObject([{ message: 'sweep failed', kind: 'settings' }])
  expect(aws.secretReads).toEqual([])
})

test('the embedded metric format needs no CloudWatch endpoint', async () => {
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
])('a log that lets pass what is %s lets the metrics pass', async (least, level) => {
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

test('a rotated password is read again', async () => {
  const lambda = await start()
  await report(lambda)
  onTestFinished(async () => {
    await db.admin.query(`alter role reaper password '${reaper.password}'`)
  })
  await db.admin.query("alter role reaper password 'of tomorrow'")
  await db.admin.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'slotkeeper'",
  )
  aws.secrets.set(SECRET, secretOf(db.server, { ...reaper, password: 'of tomorrow' }))
  expect((await report(lambda)).entry).toBe('client')
  expect(aws.secretReads).toHaveLength(2)
})

test('what can not be published fails the invocation after the sweep', async () => {
  const lambda = await start({ AWS_ENDPOINT_URL_CLOUDWATCH: 'http://127.0.0.1:1' })
  const victim = await db.open(app, 'php')
  const { ok, payload } = await lambda.invoke({})
  expect(ok).toBe(false)
  expect(payload).toMatchObject({
    errorType: 'Slotkeeper.publish',
    errorMessage: expect.stringContaining('cloudwatch:PutMetricData'),
  })
  await victim.ended
  expect(entries(lambda).map(({ message }) => message)).toEqual(['reaped', 'sweep', 'metrics lost'])
})

test.each([
  [
    'missing secret',
    { SLOTKEEPER_SECRET_ARN: 'arn:none' },
    'credentials',
    'secret arn:none could not be read',
  ],
  [
    'unreachable Secrets Manager',
    { AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://127.0.0.1:1' },
    'credentials',
    'could not be read',
  ],
  ['unreachable database', { SLOTKEEPER_PORT: '1' }, 'unreachable', '127.0.0.1:1'],
  ['unknown database', { SLOTKEEPER_DATABASE: 'none' }, 'forbidden', 'none'],
])('%s: fails, and says so in the metrics', async (_, environment, kind, named) => {
  const lambda = await start(environment)
  const { ok, payload } = await lambda.invoke({})
  expect(ok).toBe(false)
  expect(payload).toMatchObject({
    errorType: `Slotkeeper.${kind}`,
    errorMessage: expect.stringContaining(named),
  })
  expect(metric('SweepSucceeded')).toEqual([0])
  expect(metric('Exhausted')).toEqual([0])
  expect(entries(lambda)).toMatchObject([{ level: 'ERROR', message: 'sweep failed', kind }])
})

test.each([
  ['no JSON', 'hush-hush', 'is not JSON'],
  ['no password', '{"username": "reaper"}', 'password'],
  [
    'a wrong one',
    secretOf(db.server, { ...reaper, password: 'hush-hush' }),
    'refused to let role reaper',
  ],
])('a secret with %s', async (_, secret, named) => {
  aws.secrets.set(SECRET, secret)
  const lambda = await start()
  const { payload } = await lambda.invoke({})
  expect(payload).toMatchObject({ errorMessage: expect.stringContaining(named) })
  expect(JSON.stringify(payload)).not.toContain('hush-hush')
})

test('a wrong configuration fails every invocation, with all that is wrong', async () => {
  const lambda = await start({
    SLOTKEEPER_MODE: 'kill',
    SLOTKEEPER_POLICY: '{"rules": []}',
    SLOTKEEPER_POLCY: '{}',
    SLOTKEEPER_HOST: 'db.example',
  })
  for (const _ of [1, 2]) {
    const { ok, payload } = await lambda.invoke({})
    expect(ok).toBe(false)
    const { errorMessage } = payload as { errorMessage: string }
    // Where the alarm sends its reader.
    expect(entries(lambda).at(-1)).toMatchObject({
      level: 'ERROR',
      message: 'sweep failed',
      kind: 'settings',
      error: errorMessage,
      requestId: expect.any(String),
    })
    for (const named of [
      'SLOTKEEPER_MODE',
      'policy.rules',
      'did you mean "SLOTKEEPER_POLICY"',
      'SLOTKEEPER_TLS',
    ]) {
      expect(errorMessage).toContain(named)
    }
  }
})

test.each(['lambda', 'provision'])('the name of an error outlives the build of %s', (folder) => {
  const event = { RequestType: 'Create', ResourceProperties: { adminSecret: 'none', host: '::1' } }
  // Of what is thrown, Lambda logs the name of the class.
  const program = `
    const { handler } = await import(${JSON.stringify(resolve(`dist/${folder}/index.mjs`))})
    handler(${JSON.stringify(event)}).catch(({ constructor }) => console.log(constructor.name))`
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  expect(said.trim().split('\n').at(-1)).toBe('SlotkeeperError')
})

test('a full server that lets nobody in is published as exhausted', async () => {
  await db.fill(app)
  const lambda = await start()
  const { payload } = await lambda.invoke({})
  expect(payload).toMatchObject({
    errorType: 'Slotkeeper.exhausted',
    errorMessage: expect.stringContaining('rds_replication'),
  })
  expect(metric('Exhausted')).toEqual([1])
  expect(metric('SweepSucceeded')).toEqual([0])
})

test('a full server is exhausted over a kept connection too', async () => {
  await emptied()
  const lambda = await start({ SLOTKEEPER_MODE: 'observe' })
  expect((await report(lambda)).slots.available).toBeGreaterThan(0)
  expect(metric('Exhausted')).toEqual([0])
  const filling = await db.fill(app)
  const looked = await report(lambda)
  expect([looked.entry, looked.slots.available]).toEqual(['warm', 0])
  expect(metric('Exhausted')).toEqual([1])
  await Promise.all(filling.map(({ client }) => client.end()))
})

test('observing counts each session that would be reaped once', async () => {
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

test("a full server is swept free through a walsender's slot, and that is told too", async () => {
  const replicator = await db.role('replicator', REAPER_ROLES, 'replication')
  const filling = await db.fill(app)
  const lambda = await start({}, replicator)
  const swept = await report(lambda)
  expect(swept.entry).toBe('walsender')
  expect(swept.slots.available).toBe(0)
  expect(swept.reaped).toHaveLength(filling.length)
  expect(metric('Exhausted')).toEqual([1])
  expect(metric('SweepSucceeded')).toEqual([1])
  await Promise.all(filling.map(({ ended }) => ended))
  expect((await report(lambda)).entry).toBe('client')
})

test('the process lives on when the server ends the kept connection in between', async () => {
  const lambda = await start()
  await report(lambda)
  await db.admin.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'slotkeeper'",
  )
  await until(async () => (await ownSessions()) === 0)
  expect((await report(lambda)).entry).toBe('client')
})

test('a full server is told even where the sweep fails after it got in', async () => {
  const blind = await db.role('blind', [], 'replication')
  await db.fill(app)
  const lambda = await start({}, blind)
  expect((await lambda.invoke({})).payload).toMatchObject({ errorType: 'Slotkeeper.blind' })
  expect(metric('Exhausted')).toEqual([1])
  expect(metric('SweepSucceeded')).toEqual([0])
})
