import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { EXAMPLE_KEYS, startAws } from '../../stand-ins/aws.ts'
import type { Invocation, Lambda } from '../../stand-ins/lambda.ts'
import { startProxy } from '../../stand-ins/proxy.ts'
import { type AwsFault, startFaultyAws } from '../support/aws-faults.ts'
import { entries, SECRET, secretOf, startFunction } from '../support/function.ts'
import { freeze } from '../support/process.ts'
import { REAPER_ROLES, testServer, until } from '../support/server.ts'

const QUERY_TEXT = 'a text of a query'
const ANSWER_MS = 10_000
/** The function keeps 7 s of its time for the metrics, so this leaves 6 s for a sweep. */
const SHORT_TIMEOUT_MS = 13_000

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const twin = await db.role('reaper_clone', REAPER_ROLES)
const app = await db.role('shop_app')
const network = await startProxy(db.server)
const aws = await startAws({})
const secrets = await startFaultyAws(aws.url)
const cloudWatch = await startFaultyAws(aws.url)
afterAll(() => Promise.all([network, secrets, cloudWatch, aws].map((part) => part.close())))

const told: unknown[] = []
const started: Lambda[] = []

beforeEach(() => {
  network.judge = () => 'pass'
  network.to = db.server
  aws.secrets.set(SECRET, secretOf({ ...db.server, port: network.port }, reaper))
})

afterEach(async () => {
  await Promise.all(started.splice(0).map((lambda) => lambda.stop()))
  for (const faulty of [secrets, cloudWatch]) faulty.faults = []
  network.cut()
  await until(async () => (await ownSessions()).length === 0)
  // Whatever failed, and however: no secret and no text of a query is in what was told of it.
  const everything = JSON.stringify([told.splice(0), aws.puts.splice(0)])
  for (const planted of [
    reaper.password,
    twin.password,
    QUERY_TEXT,
    EXAMPLE_KEYS.AWS_SECRET_ACCESS_KEY,
  ]) {
    expect(everything).not.toContain(planted)
  }
})

async function start(timeoutMs?: number): Promise<Lambda> {
  const lambda = await startFunction(
    secrets.url,
    { AWS_ENDPOINT_URL_CLOUDWATCH: cloudWatch.url },
    timeoutMs,
  )
  started.push(lambda)
  return lambda
}

async function invoke(lambda: Lambda): Promise<Invocation> {
  const invocation = await lambda.invoke({})
  told.push(invocation, ...lambda.lines)
  return invocation
}

/** The same process does its next sweep as if nothing had been. */
async function expectRecovery(lambda: Lambda, entry: string): Promise<void> {
  const { pid } = lambda
  expect(await invoke(lambda)).toMatchObject({ ok: true, payload: { entry } })
  expect(lambda.pid).toBe(pid)
  expect(metric('SweepSucceeded')).toEqual([1])
}

async function ownSessions(): Promise<string[]> {
  const { rows } = await db.admin.query<{ usename: string }>(
    "select usename from pg_stat_activity where application_name = 'slotkeeper'",
  )
  return rows.map(({ usename }) => usename)
}

const endOwnSessions = () =>
  db.admin.query(
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'slotkeeper'",
  )

const victim = () => db.open(app, 'php', `select '${QUERY_TEXT}'`)

const metric = (name: string) =>
  aws.puts.at(-1)?.MetricData.find(({ MetricName }) => MetricName === name)?.Values

const throttled: AwsFault = { status: 400, type: 'ThrottlingException' }
const failing: AwsFault = { status: 500, type: 'InternalFailure' }
const slow: AwsFault = { delayMs: 500 }

const passing: [string, AwsFault[]][] = [
  ['throttles once', [throttled]],
  ['fails once', [failing]],
  ['is slow', [slow]],
]
const refusing: [string, AwsFault[]][] = [
  ['throttles', [throttled, throttled]],
  ['fails', [failing, failing]],
]

describe('Secrets Manager', () => {
  test.each(passing)('%s: the sweep succeeds', async (_, faults) => {
    const lambda = await start()
    secrets.faults = [...faults]
    await expectRecovery(lambda, 'client')
  })

  test.each([...refusing, ['does not answer', ['silence', 'silence']] as [string, AwsFault[]]])(
    '%s: the sweep fails with a named error, and the next one succeeds',
    async (_, faults) => {
      const lambda = await start()
      const spared = await victim()
      secrets.faults = [...faults]
      expect(await invoke(lambda)).toMatchObject({
        ok: false,
        payload: {
          errorType: 'Slotkeeper.credentials',
          errorMessage: expect.stringContaining(SECRET),
        },
      })
      expect(metric('SweepSucceeded')).toEqual([0])
      expect(spared.isAlive()).toBe(true)
      await expectRecovery(lambda, 'client')
      await spared.ended
    },
  )
})

describe('CloudWatch', () => {
  test.each(passing)('%s: the metrics arrive', async (_, faults) => {
    const lambda = await start()
    cloudWatch.faults = [...faults]
    await expectRecovery(lambda, 'client')
  })

  test.each(refusing)(
    '%s: the sweep is done, the invocation fails, the next one works',
    async (_, faults) => {
      const lambda = await start()
      const reaped = await victim()
      cloudWatch.faults = [...faults]
      expect(await invoke(lambda)).toMatchObject({
        ok: false,
        payload: { errorType: 'Slotkeeper.publish' },
      })
      await reaped.ended
      expect(entries(lambda)).toContainEqual(expect.objectContaining({ message: 'reaped' }))
      await expectRecovery(lambda, 'warm')
    },
  )

  test.each<[string, AwsFault, number]>([
    ['does not answer', 'silence', 0],
    ['takes the metrics, and its answer is lost', 'lost', 1],
  ])('%s: the error says so, and nothing is sent twice', async (_, fault, taken) => {
    const lambda = await start()
    await invoke(lambda)
    aws.puts.length = 0
    cloudWatch.requests = 0
    cloudWatch.faults = [fault]
    expect(await invoke(lambda)).toMatchObject({
      ok: false,
      payload: {
        errorType: 'Slotkeeper.publish',
        errorMessage: expect.stringContaining(
          'It may have taken them, so they were not sent again',
        ),
      },
    })
    expect(cloudWatch.requests).toBe(1)
    expect(aws.puts).toHaveLength(taken)
    await expectRecovery(lambda, 'warm')
    expect(aws.puts).toHaveLength(taken + 1)
  })
})

describe('a frozen process', () => {
  /** How long the server waits for a login; new sessions have what the postmaster has read. */
  async function setPatience(authenticationTimeout: string): Promise<void> {
    await db.admin.query(`alter system set authentication_timeout = '${authenticationTimeout}'`)
    await db.admin.query('select pg_reload_conf()')
    await until(async () => {
      const link = await db.link(reaper).catch(() => undefined)
      const rows = await link?.query('show authentication_timeout', ANSWER_MS)
      await link?.close()
      return rows?.flat()[0]?.authentication_timeout === authenticationTimeout
    })
  }

  /** Stops the function, as Lambda does between invocations, while something happens. */
  async function frozen(lambda: Lambda, meanwhile: () => unknown): Promise<void> {
    await freeze(lambda.pid as number)
    try {
      await meanwhile()
    } finally {
      process.kill(lambda.pid as number, 'SIGCONT')
    }
  }

  test.each<[string, () => unknown]>([
    ['the server ended its session', endOwnSessions],
    ['the network reset its connection', () => network.cut()],
    [
      'the network forgot its connection',
      () => {
        let first = true
        network.judge = () => {
          const fate = first ? 'lose' : 'pass'
          first = false
          return fate
        }
      },
    ],
  ])('between two sweeps, while %s: the next sweep connects again', async (_, meanwhile) => {
    const lambda = await start()
    await invoke(lambda)
    await frozen(lambda, meanwhile)
    await expectRecovery(lambda, 'client')
  })

  test.each(['end', 'reset'] as const)(
    'between two sweeps, while CloudWatch does %s its connection: the next metrics arrive once',
    async (how) => {
      const lambda = await start()
      cloudWatch.connections = 0
      await invoke(lambda)
      await invoke(lambda)
      expect(cloudWatch.connections).toBe(1)
      await frozen(lambda, () => cloudWatch.drop(how))
      await expectRecovery(lambda, 'warm')
      expect(cloudWatch.connections).toBe(2)
      expect(aws.puts).toHaveLength(3)
    },
  )

  test('during its login, past the timeout of the server: the sweep fails with a named error and the process survives', async () => {
    const lambda = await start()
    onTestFinished(() => setPatience('1min'))
    await setPatience('1s')
    const lostPatience = new Promise((resolve) => {
      db.server.log.on(
        'line',
        (line) => /authentication due to timeout/.test(line) && resolve(line),
      )
    })
    const asked = new Promise<void>((resolve) => {
      network.judge = (_, from) => {
        if (from === 'server') resolve()
        return 'pass'
      }
    })
    const invocation = invoke(lambda)
    await asked
    await frozen(lambda, () => lostPatience)
    await setPatience('1min')
    expect(await invocation).toMatchObject({
      ok: false,
      payload: { errorType: 'Slotkeeper.unreachable' },
    })
    await expectRecovery(lambda, 'client')
  })
})

test('publishes the metrics before the invocation ends when the deadline passes first', async () => {
  const lambda = await start(SHORT_TIMEOUT_MS)
  await invoke(lambda)
  network.judge = () => 'lose'
  // At the deadline the stand-in of Lambda ends a function, as Lambda does.
  expect(await invoke(lambda)).toMatchObject({
    ok: false,
    payload: { errorType: 'Slotkeeper.unreachable' },
  })
  expect(metric('SweepSucceeded')).toEqual([0])
  network.cut()
  network.judge = () => 'pass'
  await expectRecovery(lambda, 'client')
})

test('with alternating users, the sweep continues as the second user', async () => {
  const lambda = await start()
  await invoke(lambda)
  onTestFinished(async () => {
    await db.admin.query(`alter role reaper password '${reaper.password}'`)
  })
  aws.secrets.set(SECRET, secretOf({ ...db.server, port: network.port }, twin))
  // As the rotation does: the one that is not in use gets its new password.
  await db.admin.query("alter role reaper password 'of tomorrow'")
  await expectRecovery(lambda, 'warm')
  await endOwnSessions()
  await expectRecovery(lambda, 'client')
  expect(await ownSessions()).toEqual([twin.user])
})

test('a server that restarts is named in the error, and swept once it is back', async () => {
  const lambda = await start()
  await invoke(lambda)
  network.to = { host: '127.0.0.1', port: 1 }
  network.cut()
  expect(await invoke(lambda)).toMatchObject({
    ok: false,
    payload: { errorType: 'Slotkeeper.unreachable' },
  })
  network.to = db.server
  await expectRecovery(lambda, 'client')
})
