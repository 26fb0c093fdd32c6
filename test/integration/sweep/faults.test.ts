import { Client } from 'pg'
import {
  afterAll,
  afterEach,
  beforeEach,
  describe,
  expect,
  inject,
  onTestFinished,
  test,
} from 'vitest'
import type { Credentials } from '../../../lambda/core/credentials.ts'
import type { Report } from '../../../lambda/core/report.ts'
import {
  createGate,
  type Deadline,
  deadlineIn,
  type Gate,
  SWEEP_MS,
} from '../../../lambda/postgres/gate.ts'
import { LEAST_REAP_MS } from '../../../lambda/postgres/reap.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { startPostgres } from '../../../stand-ins/postgres.ts'
import { type Fate, startProxy } from '../../../stand-ins/proxy.ts'
import { freeze } from '../../support/process.ts'
import {
  type OtherSession,
  REAPER_ROLES,
  type Role,
  restart,
  testServer,
  until,
} from '../../support/server.ts'
import { policy } from '../../support/session.ts'

/** Of a sweep's time the signal statement keeps 4 s for its end; the rest is ample to get there. */
const SHORT_MS = 8_000

const db = await testServer()
const reaper = await db.role('reaper', REAPER_ROLES)
const app = await db.role('shop_app')
const other = await db.role('shop_other')
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

async function run(timeMs = SWEEP_MS, deadline = deadlineIn(timeMs)): Promise<Report> {
  const order = { target: 'test', policy: everyIdle, mode: 'reap' } as const
  return (await sweep(gate, order, deadline)).report
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

/** Sweeps, and acts when the signals are out and one session is stuck in its end. */
async function whileSettling(act: (release: () => void) => unknown) {
  const victims = await open(2)
  const { pid } = victims[0] as OtherSession
  let held: boolean = process.kill(pid, 'SIGSTOP')
  const release = () => {
    if (held) process.kill(pid, 'SIGCONT')
    held = false
  }
  const settling = new Promise<void>((resolve) => {
    network.judge = (chunk, from) => {
      if (from === 'client' && chunk.includes('as places')) resolve()
      return 'pass'
    }
  })
  try {
    const report = run()
    await settling
    await act(release)
    return { victims, report: await report }
  } finally {
    release()
  }
}

/** Opens a session of each role, which a sweep meets in this order. */
async function openInOrder(roles: Role[]): Promise<OtherSession[]> {
  const opened: (OtherSession & { role: Role })[] = []
  for (;;) {
    for (const role of roles) opened.push({ ...(await db.open(role, 'php')), role })
    const { rows } = await db.admin.query<{ pid: number }>(
      'select pid from pg_stat_get_activity(null)',
    )
    const found: OtherSession[] = []
    for (const { pid } of rows) {
      const session = opened.find((one) => one.pid === pid)
      if (session && session.role === roles[found.length]) found.push(session)
    }
    if (found.length === roles.length) {
      await db.end(opened.filter(({ pid }) => !found.some((one) => one.pid === pid)))
      return found
    }
  }
}

/**
 * Sweeps, and acts in the middle of the signal statement: it has ended the first session, and waits at
 * the second for the lock on pg_authid. To signal it, the server reads its role, which it has kept in
 * mind only of the first.
 */
async function whileSignalling(
  [first]: OtherSession[],
  act: (own: number, locker: Client, deadline: Deadline) => unknown,
  timeMs = SWEEP_MS,
): Promise<Report> {
  const locker = new Client({ connectionString: db.server.url() })
  await locker.connect()
  network.judge = async (chunk): Promise<Fate> => {
    if (isSignal(chunk)) await locker.query('begin; lock table pg_authid')
    return 'pass'
  }
  try {
    const deadline = deadlineIn(timeMs)
    const report = run(timeMs, deadline)
    await first?.ended
    let own: number | undefined
    await until(async () => {
      const { rows } = await locker.query(
        "select pid from pg_stat_activity where application_name = 'slotkeeper' and wait_event_type = 'Lock'",
      )
      own = rows[0]?.pid
      return own !== undefined
    })
    await act(own as number, locker, deadline)
    await locker.query('commit')
    return await report
  } finally {
    network.judge = () => 'pass'
    await locker.end()
  }
}

/** The kept connection has signalled a session of `app` then. */
async function warmUp(): Promise<void> {
  await open(1)
  expect((await run()).reaped).toHaveLength(1)
}

function expectUnknown({ reaped, refused }: Report, sessions: OtherSession[]): void {
  expect(reaped).toEqual([])
  expect(refused.map(({ pid }) => pid).sort()).toEqual(sessions.map(({ pid }) => pid).sort())
  for (const { sqlstate, message } of refused) {
    expect(sqlstate).toMatch(/^(08006|57P01)$/)
    expect(message).toMatch(/may have been ended or not.*127\.0\.0\.1/)
  }
}

const isSignal = (chunk: Buffer) => chunk.includes('set local slotkeeper.outcomes')
const isAnswer = (chunk: Buffer) => chunk.includes('slotkeeper.outcomes') && !isSignal(chunk)

describe('a connection that is cut', () => {
  test.each([
    ['before the signal statement', isSignal],
    ['before its answer', isAnswer],
  ])('%s: says of nobody what it does not know, and is made good by the next', async (_, isHit) => {
    const victims = await open(2)
    network.judge = (chunk) => (isHit(chunk) ? 'cut' : 'pass')
    expectUnknown(await run(), victims)
    network.judge = () => 'pass'
    expect((await run()).entry).toBe('client')
    await allEnded(victims)
  })

  test.each<[string, (own: number) => unknown]>([
    ['by the network', () => network.cut()],
    ['by the server, which shuts down or was told to', (own) => process.kill(own, 'SIGTERM')],
  ])('in the middle of it %s: the same', async (_, act) => {
    await warmUp()
    const victims = await openInOrder([app, other])
    expectUnknown(await whileSignalling(victims, act), victims)
    expect((await run()).entry).toBe('client')
    await allEnded(victims)
  })

  test.each<[string, (own: number) => unknown]>([
    ['by the network', () => network.cut()],
    ['by the server, which was told to', (own) => process.kill(own, 'SIGTERM')],
  ])('after it %s: the signals that were accepted are told as what they are', async (_, act) => {
    const { victims, report } = await whileSettling(async (release) => {
      for (const own of await ownSessions()) await act(own)
      release()
    })
    expect(report.refused).toEqual([])
    expect(report.reaped.map(({ pid }) => pid).sort()).toEqual(victims.map(({ pid }) => pid).sort())
    await allEnded(victims)
  })
})

describe('a network that loses packets for good', () => {
  test('in the middle of a sweep: it ends in its time', async () => {
    const victims = await open(2)
    network.judge = (chunk) => (isSignal(chunk) ? 'lose' : 'pass')
    expectUnknown(await run(SHORT_MS), victims)
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
  await warmUp()
  const victims = await openInOrder([app, other, app])
  const [first, second, third] = victims as [OtherSession, OtherSession, OtherSession]
  const report = await whileSignalling(
    victims,
    (_, __, { atMs }) => until(() => performance.now() > atMs - LEAST_REAP_MS),
    SHORT_MS,
  )
  expect(report.reaped.map(({ pid }) => pid)).toEqual([first.pid, second.pid])
  expect(report).toMatchObject({ refused: [], spared: { budget: 1 } })
  expect(third.isAlive()).toBe(true)
  expect((await run()).reaped.map(({ pid }) => pid)).toEqual([third.pid])
})

test('a deadline that leaves no time to reap: nobody is signalled, and nobody refused', async () => {
  await run()
  const victims = await open(3)
  const report = await run(LEAST_REAP_MS - 1)
  expect(report).toMatchObject({ reaped: [], refused: [], spared: { budget: 3 } })
  expect(victims.every((victim) => victim.isAlive())).toBe(true)
  expect((await run()).reaped).toHaveLength(3)
})

describe('a password that is rotated', () => {
  test('in the middle of a sweep: it comes to its end, and the next one too', async () => {
    onTestFinished(async () => {
      await db.admin.query(`alter role reaper password '${reaper.password}'`)
    })
    await warmUp()
    const victims = await openInOrder([app, other])
    const report = await whileSignalling(victims, (_, locker) =>
      locker.query("alter role reaper password 'of tomorrow'"),
    )
    expect(report.reaped).toHaveLength(2)
    expect((await run()).entry).toBe('warm')
  })

  test('by turns between two users: the sweep goes on as the other one, and spares the first', async () => {
    const twin = await db.role('reaper_clone', REAPER_ROLES)
    const ofTwin = createGate(async () => ({ ...credentials, ...twin }), false)
    await run()
    const order = { target: 'test', policy: policy('incident'), mode: 'reap' } as const
    const { report } = await sweep(ofTwin, order, deadlineIn(SWEEP_MS))
    await ofTwin.close()
    expect(report.reaped).toEqual([])
    expect((await run()).entry).toBe('warm')
  })
})

describe('a server that is not there any more', () => {
  async function startTwin() {
    const twin = await startPostgres({}, inject('release'))
    onTestFinished(() => twin.stop())
    const goThere = () => {
      network.to = twin
      credentials = { ...credentials, user: 'postgres', password: twin.password }
    }
    return { twin, goThere }
  }

  test('because another one took its place: the next sweep goes there', async () => {
    const { goThere } = await startTwin()
    await run()
    goThere()
    network.cut()
    expect((await run()).entry).toBe('client')
    await until(async () => (await ownSessions()).length === 0)
  })

  test.each([
    ['fast', 'SIGINT'],
    ['immediately', 'SIGQUIT'],
  ] as const)(
    'because it was shut down %s: the sweep says so, and the next one finds it',
    async (_, signal) => {
      const { twin, goThere } = await startTwin()
      goThere()
      await run()
      await restart(twin, signal, () =>
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
  try {
    for (const pid of pids) await freeze(pid)
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
  network.judge = async (chunk): Promise<Fate> => {
    if (isSignal(chunk)) await freeze(own)
    return 'pass'
  }
  try {
    expectUnknown(await run(SHORT_MS), victims)
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
