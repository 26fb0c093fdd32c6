import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { createGate, deadlineIn, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { LEAST_REAP_MS } from '../../../lambda/postgres/reap.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { startPostgres } from '../../../stand-ins/postgres.ts'
import type { Fate } from '../../../stand-ins/proxy.ts'
import {
  allEnded,
  app,
  credentials,
  db,
  expectUnknown,
  isAnswer,
  isSignal,
  logInWith,
  network,
  open,
  openInOrder,
  other,
  ownSessions,
  reaper,
  run,
  SHORT_MS,
  warmUp,
  whileSettling,
  whileSignalling,
} from '../../support/faults.ts'
import { freeze } from '../../support/process.ts'
import { type OtherSession, REAPER_ROLES, restart, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

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
      logInWith({ user: 'postgres', password: twin.password })
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
  logInWith({ host: 'no-such-host.invalid' })
  await expect(run()).rejects.toMatchObject({
    kind: 'unreachable',
    message: expect.stringContaining('no-such-host.invalid'),
  })
  logInWith({ host: '127.0.0.1' })
  expect((await run()).entry).toBe('client')
})
