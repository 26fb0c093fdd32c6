import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { entries, SECRET, secretOf } from '../../support/function.ts'
import { app, aws, db, emptied, metric, reaper, report, start } from '../../support/lambda.ts'

test('fails the invocation after the sweep when the metrics cannot be published', async () => {
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
])('%s: fails and publishes SweepSucceeded 0', async (_, environment, kind, named) => {
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
])('names a secret with %s without its value', async (_, secret, named) => {
  aws.secrets.set(SECRET, secret)
  const lambda = await start()
  const { payload } = await lambda.invoke({})
  expect(payload).toMatchObject({ errorMessage: expect.stringContaining(named) })
  expect(JSON.stringify(payload)).not.toContain('hush-hush')
})

test('each invocation with an invalid configuration fails and lists all problems', async () => {
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

test.each(['lambda', 'provision'])('the build of %s keeps the class names of errors', (folder) => {
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

test('publishes Exhausted 1 when a full server refuses the connection', async () => {
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

test('publishes Exhausted 1 for a full server over a kept connection', async () => {
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

test('publishes Exhausted 1 when the sweep fails after it connected to a full server', async () => {
  const blind = await db.role('blind', [], 'replication')
  await db.fill(app)
  const lambda = await start({}, blind)
  expect((await lambda.invoke({})).payload).toMatchObject({ errorType: 'Slotkeeper.blind' })
  expect(metric('Exhausted')).toEqual([1])
  expect(metric('SweepSucceeded')).toEqual([0])
})
