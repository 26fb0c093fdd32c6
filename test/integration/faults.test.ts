import { afterAll, afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { startPostgres } from '../../cli/rehearse/postgres.ts'
import type { Credentials } from '../../lambda/aws/credentials.ts'
import type { Report } from '../../lambda/core/report.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../lambda/postgres/entry.ts'
import { sweep } from '../../lambda/sweep.ts'
import { startProxy } from '../support/proxy.ts'
import { type OtherSession, REAPER_ROLES, restart, testServer, until } from '../support/server.ts'
import { policy } from '../support/session.ts'

const CROWD = 150

const db = await testServer({ max_connections: String(CROWD + 30) })
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')
await db.trust(app)
const network = await startProxy(db.server)
afterAll(() => network.close())

const everyIdle = policy({
  scope: { users: ['shop_*'] },
  rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
})

let credentials: Credentials
let gate: Gate
beforeEach(() => {
  network.to = db.server
  network.judge = () => 'pass'
  credentials = { ...db.credentials(reaper), port: network.port }
  gate = createGate(async () => credentials, false)
})
afterEach(async () => {
  await gate.close()
  // Whatever happened, nothing of Slotkeeper stays on the server.
  await until(async () => (await ownSessions()).length === 0)
})

async function run(timeMs = SWEEP_MS): Promise<Report> {
  const order = { target: 'test', policy: everyIdle, mode: 'reap' } as const
  return (await sweep(gate, order, deadlineIn(timeMs))).report
}

async function ownSessions(): Promise<number[]> {
  const { rows } = await db.admin.query<{ pid: number }>(
    "select pid from pg_stat_activity where application_name = 'slotkeeper'",
  )
  return rows.map(({ pid }) => pid)
}

const open = (count: number) =>
  Promise.all(Array.from({ length: count }, () => db.open(app, 'php')))

const allEnded = (sessions: OtherSession[]) => Promise.all(sessions.map(({ ended }) => ended))

/** Sweeps, and acts in the middle of the signal statement, while it waits for one that is stuck. */
async function whileSignalling(
  stuck: OtherSession,
  act: (release: () => void) => unknown,
): Promise<Report> {
  let held: boolean = process.kill(stuck.pid, 'SIGSTOP')
  const release = () => {
    if (held) process.kill(stuck.pid, 'SIGCONT')
    held = false
  }
  try {
    const report = run()
    await until(async () => {
      const { rows } = await db.admin.query(
        "select from pg_stat_activity where application_name = 'slotkeeper' and wait_event = 'PgSleep'",
      )
      return rows.length > 0
    })
    await act(release)
    return await report
  } finally {
    release()
  }
}

function expectUnknown({ reaped, refused }: Report, sessions: OtherSession[]): void {
  expect(reaped).toEqual([])
  expect(refused.map(({ pid }) => pid).sort()).toEqual(sessions.map(({ pid }) => pid).sort())
  for (const { sqlstate, message } of refused) {
    expect(sqlstate).toMatch(/^(08006|57P01)$/)
    expect(message).toMatch(/may have been ended or not.*127\.0\.0\.1/)
  }
}

const isSignal = (chunk: Buffer) => chunk.includes('slotkeeper.victims')

describe('a connection that is cut', () => {
  test.each<[string, (chunk: Buffer) => boolean]>([
    ['before the signal statement', isSignal],
    ['before its answer', (chunk) => chunk.includes('outcomes') && !isSignal(chunk)],
  ])('%s: says of nobody what it does not know, and is made good by the next', async (_, isHit) => {
    const victims = await open(2)
    network.judge = (chunk) => (isHit(chunk) ? 'cut' : 'pass')
    expectUnknown(await run(), victims)
    network.judge = () => 'pass'
    expect((await run()).entry).toBe('client')
    await allEnded(victims)
  })

  test.each<[string, () => unknown]>([
    ['by the network', () => network.cut()],
    [
      'by the server, which shuts down or was told to',
      async () => {
        for (const pid of await ownSessions()) process.kill(pid, 'SIGTERM')
      },
    ],
  ])('in the middle of it %s: the same', async (_, act) => {
    const victims = await open(2)
    expectUnknown(await whileSignalling(victims[0] as OtherSession, act), victims)
    expect((await run()).entry).toBe('client')
    await allEnded(victims)
  })
})

describe('a network that loses packets for good', () => {
  test('in the middle of a sweep: it ends in its time', async () => {
    const victims = await open(2)
    network.judge = (chunk) => (isSignal(chunk) ? 'lose' : 'pass')
    expectUnknown(await run(4_200), victims)
    network.cut()
    network.judge = () => 'pass'
    expect((await run()).reaped).toHaveLength(2)
  })

  test('between two sweeps: the second comes in anew', async () => {
    expect((await run()).entry).toBe('client')
    let first = true
    network.judge = () => {
      const fate = first ? 'lose' : 'pass'
      first = false
      return fate
    }
    expect((await run()).entry).toBe('client')
    network.cut()
  })
})

test('a deadline in mid-sweep: it stops signalling, and reports what it did', async () => {
  const victims = await open(CROWD)
  // The statement keeps 4 s for its end; so many signals take longer than the rest.
  const report = await run(4_020)
  expect(report.spared.budget).toBeGreaterThan(0)
  expect(report.reaped.length + report.spared.budget).toBe(CROWD)
  expect(report.refused).toEqual([])
  const reaped = new Set(report.reaped.map(({ pid }) => pid))
  await allEnded(victims.filter(({ pid }) => reaped.has(pid)))
  expect(victims.filter((victim) => victim.isAlive())).toHaveLength(report.spared.budget)
  expect((await run()).reaped).toHaveLength(report.spared.budget)
})

test('a deadline that leaves no time to reap: nobody is signalled, and nobody refused', async () => {
  const victims = await open(3)
  const report = await run(3_000)
  expect(report).toMatchObject({ reaped: [], refused: [], spared: { budget: 3 } })
  expect(victims.every((victim) => victim.isAlive())).toBe(true)
  expect((await run()).reaped).toHaveLength(3)
})

describe('a password that is rotated', () => {
  test('in the middle of a sweep: it comes to its end, and the next one too', async () => {
    const [stuck] = (await open(1)) as [OtherSession]
    const report = await whileSignalling(stuck, async (release) => {
      await db.admin.query("alter role reaper password 'of tomorrow'")
      release()
    })
    expect(report.reaped).toHaveLength(1)
    expect((await run()).entry).toBe('warm')
    await db.admin.query(`alter role reaper password '${reaper.password}'`)
  })

  test('by turns between two users: the sweep goes on as the other one, and spares the first', async () => {
    const twin = await db.role('reaper_clone', REAPER_ROLES)
    const other = createGate(async () => ({ ...credentials, ...twin }), false)
    await run()
    const order = { target: 'test', policy: policy('incident'), mode: 'reap' } as const
    const { report } = await sweep(other, order, deadlineIn(SWEEP_MS))
    expect(report.reaped).toEqual([])
    expect((await run()).entry).toBe('warm')
    await other.close()
  })
})

describe('a server that is not there any more', async () => {
  let twin = await startPostgres({}, inject('release'))
  afterAll(() => twin.stop())
  beforeEach(() => {
    network.to = twin
    credentials = { ...credentials, user: 'postgres', password: twin.password }
  })

  test('because another one took its place: the next sweep goes there', async () => {
    network.to = db.server
    credentials = { ...credentials, ...reaper }
    await run()
    network.to = twin
    network.cut()
    credentials = { ...credentials, user: 'postgres', password: twin.password }
    expect((await run()).entry).toBe('client')
    expect(await ownSessions()).toEqual([])
  })

  test.each([
    ['fast', 'SIGINT'],
    ['immediately', 'SIGQUIT'],
  ] as const)(
    'because it was shut down %s: the sweep says so, and the next one finds it',
    async (_, signal) => {
      await run()
      twin = await restart(twin, signal, () =>
        expect(run()).rejects.toMatchObject({ kind: 'unreachable' }),
      )
      await until(() =>
        run().then(
          ({ entry }) => entry === 'client',
          () => false,
        ),
      )
    },
  )
})

test('a server that stops answering: the sweep ends in its time, and says so', async () => {
  await run()
  const [own] = await ownSessions()
  // The kept session, and the process that would take a new one.
  const pids = [own as number, db.server.process.pid as number]
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  try {
    await expect(run(600)).rejects.toMatchObject({ kind: 'unreachable' })
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT')
  }
  expect((await run()).entry).toBe('client')
})

test('a server that stalls before it signals: once the sweep gave up it ends nobody', async () => {
  await run()
  const victims = await open(3)
  const [own] = (await ownSessions()) as [number]
  network.judge = (chunk) => {
    if (isSignal(chunk)) process.kill(own, 'SIGSTOP')
    return 'pass'
  }
  try {
    expectUnknown(await run(4_200), victims)
  } finally {
    process.kill(own, 'SIGCONT')
  }
  network.judge = () => 'pass'
  await until(async () => !(await ownSessions()).includes(own))
  expect(victims.every((victim) => victim.isAlive())).toBe(true)
  expect((await run()).reaped).toHaveLength(3)
})

test('a name that can not be resolved: the sweep says so, and the next one finds it', async () => {
  credentials = { ...credentials, host: 'no-such-host.invalid' }
  await expect(run()).rejects.toMatchObject({
    kind: 'unreachable',
    message: expect.stringContaining('no-such-host.invalid'),
  })
  credentials = { ...credentials, host: '127.0.0.1' }
  expect((await run()).entry).toBe('client')
})
