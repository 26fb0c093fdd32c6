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

describe('a cut connection', () => {
  test.each([
    ['before the signal statement', isSignal],
    ['before its answer', isAnswer],
  ])(
    '%s: reports unknown outcomes as refused, and the next sweep connects again',
    async (_, isHit) => {
      const victims = await open(2)
      network.judge = (chunk) => (isHit(chunk) ? 'cut' : 'pass')
      expectUnknown(await run(), victims)
      network.judge = () => 'pass'
      expect((await run()).entry).toBe('client')
      await allEnded(victims)
    },
  )

  test.each<[string, (own: number) => unknown]>([
    ['by the network', () => network.cut()],
    ['by the server, which shuts down or was told to', (own) => process.kill(own, 'SIGTERM')],
  ])('during the signal statement %s: reports unknown outcomes as refused', async (_, act) => {
    await warmUp()
    const victims = await openInOrder([app, other])
    expectUnknown(await whileSignalling(victims, act), victims)
    expect((await run()).entry).toBe('client')
    await allEnded(victims)
  })

  test.each<[string, (own: number) => unknown]>([
    ['by the network', () => network.cut()],
    ['by the server, which was told to', (own) => process.kill(own, 'SIGTERM')],
  ])('after the signals %s: reports the accepted signals as reaped', async (_, act) => {
    const { victims, report } = await whileSettling(async (release) => {
      for (const own of await ownSessions()) await act(own)
      release()
    })
    expect(report.refused).toEqual([])
    expect(report.reaped.map(({ pid }) => pid).sort()).toEqual(victims.map(({ pid }) => pid).sort())
    await allEnded(victims)
  })
})

describe('a network that drops all packets', () => {
  test('during a sweep: the sweep ends at its deadline', async () => {
    const victims = await open(2)
    network.judge = (chunk) => (isSignal(chunk) ? 'lose' : 'pass')
    expectUnknown(await run(SHORT_MS), victims)
    network.cut()
    network.judge = () => 'pass'
    expect((await run()).reaped).toHaveLength(2)
  })

  test('between two sweeps: the second connects again', async () => {
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

test('stops signalling at a deadline during the sweep, and reports what it did', async () => {
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

test('looks again at a session if it waited since its last look', async () => {
  await warmUp()
  const victims = await openInOrder([app, other, app])
  const [first, second, third] = victims as [OtherSession, OtherSession, OtherSession]
  // While the sweep waits at the second session, the third one works, and is idle again.
  const report = await whileSignalling(victims, () => third.client.query('select 1'))
  expect(report.reaped.map(({ pid }) => pid)).toEqual([first.pid, second.pid])
  expect(report).toMatchObject({ refused: [], spared: { changed: 1 } })
  expect(third.isAlive()).toBe(true)
})

test('looks again at a session after the clock was set back', async () => {
  await warmUp()
  await db.admin.query(`
    set allow_system_table_mods = on;
    create table clock as select interval '0' as behind;
    grant select on clock to public;
    alter function pg_catalog.clock_timestamp() rename to true_clock_timestamp;
    create function pg_catalog.clock_timestamp() returns timestamptz volatile language plpgsql as
      'begin return pg_catalog.true_clock_timestamp() - (select behind from public.clock); end'`)
  try {
    const victims = await openInOrder([app, other, app])
    const [first, second, third] = victims as [OtherSession, OtherSession, OtherSession]
    const report = await whileSignalling(victims, async () => {
      await third.client.query('begin; select 1')
      await db.admin.query("update clock set behind = '1 hour'")
    })
    expect(report.reaped.map(({ pid }) => pid)).toEqual([first.pid, second.pid])
    expect(report).toMatchObject({ refused: [], spared: { changed: 1 } })
    expect(third.isAlive()).toBe(true)
  } finally {
    await db.admin.query(`
      drop function pg_catalog.clock_timestamp();
      alter function pg_catalog.true_clock_timestamp() rename to clock_timestamp;
      drop table clock;
      reset allow_system_table_mods`)
  }
})

test('signals no session when the deadline leaves no time to reap', async () => {
  await run()
  const victims = await open(3)
  const report = await run(LEAST_REAP_MS - 1)
  expect(report).toMatchObject({ reaped: [], refused: [], spared: { budget: 3 } })
  expect(victims.every((victim) => victim.isAlive())).toBe(true)
  expect((await run()).reaped).toHaveLength(3)
})

describe('a rotated password', () => {
  test('during a sweep: this sweep and the next one complete', async () => {
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

  test('alternating between two users: the sweep continues as the second user and spares the session of the first', async () => {
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

describe('a server that is gone', () => {
  async function startTwin() {
    const twin = await startPostgres({}, inject('release'))
    onTestFinished(() => twin.stop())
    const goThere = () => {
      network.to = twin
      logInWith({ user: 'postgres', password: twin.password })
    }
    return { twin, goThere }
  }

  test('after a failover: the next sweep connects to the new server', async () => {
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
    'after a shutdown (%s): the sweep fails as unreachable, and succeeds once the server is back',
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

test('fails as unreachable at its deadline when the server stops answering', async () => {
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

test('a server that stalls before it signals ends no session after the sweep gave up', async () => {
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

test('names a host that cannot be resolved, and connects once it can', async () => {
  logInWith({ host: 'no-such-host.invalid' })
  await expect(run()).rejects.toMatchObject({
    kind: 'unreachable',
    message: expect.stringContaining('no-such-host.invalid'),
  })
  logInWith({ host: '127.0.0.1' })
  expect((await run()).entry).toBe('client')
})
