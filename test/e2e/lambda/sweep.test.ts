import { expect, onTestFinished, test } from 'vitest'
import { entries, SECRET, secretOf } from '../../support/function.ts'
import { app, aws, db, metric, ownSessions, reaper, report, start } from '../../support/lambda.ts'
import { REAPER_ROLES, until } from '../../support/server.ts'

test('reaps, publishes all metrics in one signed request and logs the reason', async () => {
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

test('in mode reap without a policy, fails and names the variable', async () => {
  const lambda = await start({ SLOTKEEPER_POLICY: undefined })
  const { ok, payload } = await lambda.invoke({})
  expect(ok).toBe(false)
  expect(payload).toMatchObject({
    errorType: 'Slotkeeper.settings',
    errorMessage: expect.stringContaining('SLOTKEEPER_POLICY: missing; in mode "reap"'),
  })
  expect(aws.secretReads).toEqual([])
})

test('keeps the connection and the secret between invocations', async () => {
  const lambda = await start()
  expect((await report(lambda)).entry).toBe('client')
  expect((await report(lambda)).entry).toBe('warm')
  expect(aws.secretReads).toHaveLength(1)
})

test('an event can change mode reap to observe', async () => {
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

test('an event cannot change mode observe to reap', async () => {
  const lambda = await start({ SLOTKEEPER_MODE: 'observe' })
  const victim = await db.open(app, 'php')
  expect((await report(lambda, { mode: 'reap' })).mode).toBe('observe')
  expect(victim.isAlive()).toBe(true)
  await victim.client.end()
})

test('refuses an event with an unknown mode before it reads the secret', async () => {
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

test('reads a rotated password again', async () => {
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

test('sweeps a full server through a walsender slot and reports entry "walsender"', async () => {
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

test('the process survives when the server ends the kept connection between invocations', async () => {
  const lambda = await start()
  await report(lambda)
  await db.admin.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'slotkeeper'",
  )
  await until(async () => (await ownSessions()) === 0)
  expect((await report(lambda)).entry).toBe('client')
})
