import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { sweep } from '../../../lambda/sweep.ts'
import {
  app,
  DATABASE,
  db,
  essence,
  idleAtOnce,
  isAlone,
  ROUNDS,
  reaper,
  replicator,
  set,
  settings,
  sweepAsWalsender,
  sweepTwice,
  sweepWith,
  untouched,
  valuesOf,
  WHOM,
  WITHOUT_CHOICE,
} from '../../support/role-settings.ts'
import { MAJOR, restart, until } from '../../support/server.ts'

test('the tests try every setting of the server', async () => {
  const accepted = new Set<string>()
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of await set('role reaper', valuesOf(round))) accepted.add(name)
  }
  const missed = settings.map(({ name }) => name).filter((name) => !accepted.has(name))
  expect(missed.filter((name) => !WITHOUT_CHOICE.test(name))).toEqual([])
  expect(accepted.size).toBeGreaterThan(150)
})

const usual = await sweepTwice(untouched, 'postgres')
const usualAsWalsender = await sweepAsWalsender(untouched, 'postgres')
const rounds = Array.from({ length: ROUNDS }, (_, round) => round)
describe.each(Object.entries(WHOM))('with hostile settings for %s', (_, targets) => {
  test.each(rounds)('a sweep acts and reports the same, round %i', async (round) => {
    for (const [index, whom] of targets.entries()) await set(whom, valuesOf(round + index))
    expect(await sweepTwice(reaper)).toEqual(usual)
    expect(await sweepAsWalsender(replicator)).toEqual(usualAsWalsender)
  })
})

describe('short timeouts of the role do not interrupt the sweep', () => {
  /** In ms: shorter than a sweep that waits for a session which does not go. */
  const SHORT = '1000'
  const TIMEOUTS = [
    'statement_timeout',
    'lock_timeout',
    'idle_session_timeout',
    'transaction_timeout',
  ]

  test('while a session does not end', async () => {
    const outcomes = []
    for (const [role, timeouts] of [
      [untouched, []],
      [reaper, TIMEOUTS],
    ] as const) {
      await set(
        'role reaper',
        timeouts.map((name) => [name, SHORT]),
      )
      const stuck = await db.open(app, 'stuck')
      process.kill(stuck.pid, 'SIGSTOP')
      const gate = createGate(async () => db.credentials(role, DATABASE), false)
      try {
        const { report } = await sweep(
          gate,
          { target: 'test', policy: idleAtOnce, mode: 'reap' },
          deadlineIn(SWEEP_MS),
        )
        expect(report.refused).toMatchObject([{ pid: stuck.pid, sqlstate: '00000' }])
        outcomes.push(essence(report))
      } finally {
        process.kill(stuck.pid, 'SIGCONT')
        await gate.close()
      }
      await stuck.ended
      await isAlone()
    }
    expect(outcomes[1]).toEqual(outcomes[0])
  })

  test('while a catalog is locked', async () => {
    await set('role reaper', [['lock_timeout', '1']])
    const gate = createGate(async () => db.credentials(reaper, DATABASE), false)
    await sweepWith(gate)
    const locker = new Client({ connectionString: db.server.url() })
    await locker.connect()
    await locker.query('begin; lock pg_database')
    let looking = true
    const look = sweep(
      gate,
      { target: 'test', policy: idleAtOnce, mode: 'observe' },
      deadlineIn(SWEEP_MS),
    ).finally(() => {
      looking = false
    })
    // Awaited below, and not unhandled until then.
    look.catch(() => undefined)
    try {
      // Through a view that needs no look at the locked one.
      await until(async () => {
        const { rows } = await db.admin.query('select from pg_locks where not granted')
        return rows.length > 0 || !looking
      })
    } finally {
      await locker.end()
    }
    expect((await look).report.entry).toBe('warm')
    await gate.close()
  })
})

test('one refusal does not end the sweep under exit_on_error', async () => {
  await set('role reaper', [['exit_on_error', 'on']])
  const promoted = await db.role('shop_promoted')
  const refused = await db.open(promoted, 'php')
  const gate = createGate(async () => db.credentials(reaper, DATABASE), false)
  const late: Gate = {
    ...gate,
    async open(deadline) {
      const link = await gate.open(deadline)
      return {
        ...link,
        async query(sql, timeoutMs) {
          // Between the look and the signal, to whom the signal is forbidden from then on.
          if (sql.includes('pg_terminate_backend')) {
            await db.admin.query('alter role shop_promoted superuser')
          }
          return link.query(sql, timeoutMs)
        },
      }
    },
  }
  const victim = await db.open(app, 'php')
  const { report } = await sweep(
    late,
    { target: 'test', policy: idleAtOnce, mode: 'reap' },
    deadlineIn(SWEEP_MS),
  )
  expect(report.reaped.map(({ pid }) => pid)).toEqual([victim.pid])
  expect(report.refused).toMatchObject([{ pid: refused.pid, sqlstate: '42501' }])
  await gate.close()
})

/** Makes no test of what a release lacks. */
const ifFrom = (major: number) => (MAJOR >= major ? test : () => undefined)

describe('settings that only an administrator can fix', () => {
  test('a missing library refuses the login and is named in the error', async () => {
    await set('role reaper', [['session_preload_libraries', 'nothere']])
    await expect(sweepTwice(reaper)).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringMatching(/nothere.*session_preload_libraries/s),
    })
  })

  // Before 18 PL/pgSQL is found in $libdir, whatever the path says.
  ifFrom(18)('without PL/pgSQL no session is reported as ended', async () => {
    await set('role reaper', [['dynamic_library_path', '/nowhere']])
    const victim = await db.open(app, 'php')
    const gate = createGate(async () => db.credentials(reaper, DATABASE), false)
    const swept = sweep(
      gate,
      { target: 'test', policy: idleAtOnce, mode: 'reap' },
      deadlineIn(SWEEP_MS),
    )
    await expect(swept).rejects.toThrow(/plpgsql/)
    await gate.close()
    expect(victim.isAlive()).toBe(true)
  })

  ifFrom(17)('a failing login trigger is named in the error', async () => {
    // A database of its own: on a replica, one that ever had such a trigger may let nobody in.
    await db.admin.query('create database triggered')
    const owner = new Client({ connectionString: db.server.url(undefined, 'triggered') })
    await owner.connect()
    await owner.query(`
      create function refuse() returns event_trigger language plpgsql as
        $$ begin if session_user = 'reaper' then raise exception 'not you'; end if; end $$;
      create event trigger refuse on login execute function refuse()`)
    await owner.end()
    await expect(sweepTwice(reaper, 'triggered')).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining('not you'),
    })
  })
})

test('a read replica is swept under any settings', async () => {
  for (const [index, whom] of WHOM.both.entries()) {
    await set(whom, valuesOf(index))
    await set(whom, [
      ['default_transaction_isolation', 'serializable'],
      ['default_transaction_read_only', 'on'],
      ['default_transaction_deferrable', 'on'],
    ])
  }
  await restart(db.server, 'SIGINT', (data) => {
    const signal = join(data, 'standby.signal')
    writeFileSync(signal, '')
    chmodSync(signal, 0o666)
  })
  const isReplica = async () =>
    (await db.admin.query('select where pg_is_in_recovery()')).rows.length > 0
  await until(() => isReplica().catch(() => false))
  // Without listener, lock and the rest of the sessions, which the restart ended.
  const usualThere = await sweepTwice(untouched, 'postgres')
  const told = await sweepTwice(reaper).catch((error) => error)
  // What was set can be taken back only on a server that is no replica.
  await db.admin.query('select pg_promote()')
  expect(told).toEqual(usualThere)
})
