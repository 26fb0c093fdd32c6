import { afterAll, expect, test } from 'vitest'
import { judge } from '../../../lambda/core/judge.ts'
import type { WrittenPolicy } from '../../../lambda/core/policy.ts'
import type { Frame } from '../../../lambda/core/recording.ts'
import { createFrameReader, isRecordingLine } from '../../../lambda/core/recording-reader.ts'
import { identityOf, type Session } from '../../../lambda/core/session.ts'
import { reapVerdicts } from '../../../lambda/core/verdict.ts'
import type { Lambda } from '../../../stand-ins/lambda.ts'
import { startProxy } from '../../../stand-ins/proxy.ts'
import { entries } from '../../support/function.ts'
import { app, db, emptied, report, start } from '../../support/lambda.ts'
import { policy } from '../../support/session.ts'
import { until } from '../../support/until.ts'

const old: WrittenPolicy = { rules: [{ name: 'old', state: 'idle', olderThan: '1h' }] }
const now: WrittenPolicy = { rules: [{ name: 'now', state: 'idle', olderThan: '0s' }] }

/** The recording in the function's log. */
function recorded({ lines }: Lambda): Frame[] {
  const reader = createFrameReader()
  const results = [...lines.filter(isRecordingLine).map((line) => reader.read(line)), reader.end()]
  return results.flatMap((result) => {
    if (!result.ok) throw new Error(result.problems.join('; '))
    return result.value ? [result.value] : []
  })
}

const find = (frame: Frame | undefined, pid: number) =>
  frame?.snapshot.sessions.find((session) => session.pid === pid) as Session

test('is not written unless asked for', async () => {
  const lambda = await start({ SLOTKEEPER_MODE: 'observe' })
  await report(lambda)
  expect(recorded(lambda)).toEqual([])
})

test('has what another policy would have judged, and no query', async () => {
  await emptied()
  const lambda = await start({
    SLOTKEEPER_MODE: 'observe',
    SLOTKEEPER_POLICY: JSON.stringify(old),
    SLOTKEEPER_RECORD: 'on',
  })
  const idle = await db.open(app, 'php', "select 'hush-hush'")
  const migration = await db.open(app, 'migrate', 'select pg_advisory_lock(1)')
  const listener = await db.open(app, 'listener', 'listen news')
  await report(lambda)
  await listener.client.query('select 1')
  await db.settled(listener.pid)
  await report(lambda)

  const [frame, again] = recorded(lambda)
  expect(frame?.target).toBe('shop')
  expect(frame?.reaped.size).toBe(0)
  // A policy for which nothing depends on the holders leaves them unread.
  expect(find(frame, idle.pid)).toMatchObject({
    user: 'shop_app',
    database: 'postgres',
    application: 'php',
    client: '127.0.0.1',
    state: 'idle',
    advisoryLock: false,
    replicationSlot: false,
  })
  expect(find(frame, migration.pid).advisoryLock).toBe(true)
  expect([find(frame, listener.pid).listening, find(again, listener.pid).listening]).toEqual([
    true,
    true,
  ])
  const strict = policy({ ...now, scope: { users: ['shop_*'] } })
  const victims = reapVerdicts(judge((again as Frame).snapshot, strict))
  expect(victims.map(({ session }) => session.pid)).toEqual([idle.pid])
  await Promise.all([idle, migration, listener].map(({ client }) => client.end()))
})

test('has the same times as the server, to the microsecond', async () => {
  await emptied()
  const lambda = await start({ SLOTKEEPER_MODE: 'observe', SLOTKEEPER_RECORD: 'on' })
  const { pid, client } = await db.open(app, 'php', 'begin', 'select 1')
  await report(lambda)
  const { rows } = await db.admin.query(
    `select date_part('epoch', backend_start)::text as "backendStart",
      date_part('epoch', state_change)::text as "stateChange",
      extract(epoch from xact_start)::float8 as began
    from pg_stat_activity where pid = $1`,
    [pid],
  )
  const [frame] = recorded(lambda)
  const { backendStart, stateChange, ageSeconds, transactionSeconds } = find(frame, pid)
  expect({ backendStart, stateChange }).toEqual({
    backendStart: rows[0].backendStart,
    stateChange: rows[0].stateChange,
  })
  const at = (frame?.snapshot.atMs ?? 0) / 1000
  // To the microsecond: a number of seconds since 1970 has no more digits.
  expect(ageSeconds).toBeCloseTo(at - Number(stateChange), 5)
  expect(transactionSeconds).toBeCloseTo(at - rows[0].began, 5)
  await client.end()
})

test('marks the sessions that the sweep ended', async () => {
  await emptied()
  const lambda = await start({ SLOTKEEPER_RECORD: 'on' })
  const victims = await Promise.all([1, 2].map(() => db.open(app, 'php')))
  await report(lambda)
  await Promise.all(victims.map(({ ended }) => ended))
  const [frame] = recorded(lambda)
  const ended = victims.map(({ pid }) => identityOf(find(frame, pid)))
  expect([...(frame?.reaped ?? [])].sort()).toEqual(ended.sort())
})

test('fails the sweep, and names the grant, if the server does not show who holds a lock', async () => {
  const lambda = await start({ SLOTKEEPER_POLICY: JSON.stringify(old), SLOTKEEPER_RECORD: 'on' })
  await db.admin.query('revoke execute on function pg_lock_status() from public')
  const { ok, payload } = await lambda.invoke({})
  await db.admin.query('grant execute on function pg_lock_status() to public')
  expect(ok).toBe(false)
  expect(payload).toMatchObject({
    errorType: 'Slotkeeper.rights',
    errorMessage: expect.stringContaining(
      'GRANT EXECUTE ON FUNCTION pg_catalog.pg_lock_status() TO "reaper";',
    ),
  })
  expect(recorded(lambda)).toEqual([])
  await report(lambda)
  expect(recorded(lambda)).toHaveLength(1)
})

test.each([
  ['INFO', undefined],
  ['ERROR', 'ERROR'],
])('is written at log level %s too', async (least, level) => {
  const lambda = await start({ SLOTKEEPER_RECORD: 'on', AWS_LAMBDA_LOG_LEVEL: least })
  await emptied()
  await report(lambda, { mode: 'observe' })
  const line = entries(lambda).find((entry) => 'slotkeeperRecording' in entry)
  expect(line.level).toBe(level)
  expect(line.timestamp === undefined).toBe(level === undefined)
  expect(recorded(lambda)).toHaveLength(1)
})

/** A network on the way to the server, in which the server's clock can be set forward. */
const network = await startProxy({ host: db.server.host, port: db.server.port })
afterAll(() => network.close())
let aheadSeconds = 0
network.judge = (chunk, from) => {
  // The first instant in a snapshot says when it was taken. Those of its sessions stay.
  const head = from === 'server' ? chunk.indexOf('serverVersion') : -1
  const text = chunk.toString('latin1')
  const [at] = head < 0 ? [] : (/\d{10}(?=\.\d)/.exec(text.slice(head)) ?? [])
  if (at !== undefined) chunk.write(String(Number(at) + aheadSeconds), text.indexOf(at, head))
  return 'pass'
}

test('in mode observe, says which sessions were used again, and sums them up after midnight', async () => {
  await emptied()
  const lambda = await start({
    SLOTKEEPER_MODE: 'observe',
    SLOTKEEPER_HOST: '127.0.0.1',
    SLOTKEEPER_PORT: String(network.port),
  })
  // At noon tomorrow, so that no midnight comes by itself.
  const { rows } = await db.admin.query('select extract(epoch from now())::float8 as now')
  const midnight = Math.ceil(rows[0].now / 86_400) * 86_400
  aheadSeconds = Math.ceil(midnight + 43_200 - rows[0].now)
  const [back, stays, goes] = await Promise.all([1, 2, 3].map(() => db.open(app, 'php')))
  const looked = await report(lambda)
  expect(looked.wouldReap).toHaveLength(3)
  await back?.client.query('select 1')
  await db.settled(back?.pid as number)
  await goes?.client.end()
  await emptiedOf(goes?.pid)
  await report(lambda)

  const used = entries(lambda).filter(({ message }) => message === 'used again')
  expect(used).toMatchObject([
    {
      level: 'INFO',
      target: 'shop',
      pid: back?.pid,
      user: 'shop_app',
      application: 'php',
      rule: 'now',
      why: expect.stringMatching(/^in mode reap, rule now would have ended it; its next use came /),
    },
  ])
  const [least, most] = used[0].idleSeconds
  expect(least).toBeGreaterThanOrEqual(0)
  expect(most).toBeGreaterThanOrEqual(least)
  expect(used[0].why).toContain('after')

  aheadSeconds += 43_260
  await report(lambda)
  const observed = entries(lambda).filter(({ message }) => message === 'observed')
  expect(observed.at(-1)).toMatchObject({
    level: 'INFO',
    target: 'shop',
    wouldEnd: 4,
    usedAgain: 1,
    stillIdle: 2,
    idleSeconds: used[0].idleSeconds,
    from: looked.at,
    why: expect.stringMatching(
      /^since \d{4}-\d\d-\d\d \d\d:\d\d UTC, when this environment of the function began to observe, the policy would have ended 4 sessions; 1 was used again, after /,
    ),
  })
  await report(lambda)
  expect(entries(lambda).filter(({ message }) => message === 'observed')).toHaveLength(
    observed.length,
  )
  aheadSeconds = 0
  await Promise.all([back, stays].map((session) => session?.client.end()))
})

/** Waits until the server has ended a session whose client is gone. */
async function emptiedOf(pid: number | undefined): Promise<void> {
  await until(async () => {
    const { rowCount } = await db.admin.query('select from pg_stat_activity where pid = $1', [pid])
    return rowCount === 0
  })
}
