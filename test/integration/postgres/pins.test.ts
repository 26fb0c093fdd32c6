import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, escapeLiteral } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import type { Report } from '../../../lambda/core/report.ts'
import { connect } from '../../../lambda/postgres/connect.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../../lambda/postgres/gate.ts'
import { sweep } from '../../../lambda/sweep.ts'
import { MAJOR, REAPER_ROLES, type Role, restart, testServer, until } from '../../support/server.ts'
import { policy } from '../../support/session.ts'

const VICTIMS = 3
/** So many, with so long a query each, that one look does not fit into the least `work_mem`. */
const KEPT = 70
const LONG_QUERY = `select 1 -- ${'x'.repeat(1_000)}`
const DATABASE = 'swept_from'
const LOGIN_MS = 5_000

const db = await testServer({ max_connections: '120', max_wal_senders: '4' })
const app = await db.role('shop_app')
await db.trust(app)
const reaper = await db.role('reaper', REAPER_ROLES)
const untouched = await db.role('untouched', REAPER_ROLES, 'replication')
const replicator = await db.role('replicator', REAPER_ROLES, 'replication')
await db.admin.query(`create database ${DATABASE}`)
await db.admin.query('create role bystander; grant bystander to reaper, replicator')

const idleAtOnce = policy({
  scope: { users: ['shop_*'] },
  protect: [{ applications: ['kept'] }],
  rules: [{ name: 'idle', state: 'idle', olderThan: '0s' }],
})

await Promise.all(Array.from({ length: KEPT }, () => db.open(app, 'kept', LONG_QUERY)))
await db.open(app, 'listener', 'listen orders')
await db.open(app, 'migration', 'select pg_advisory_lock(1)')
// A serializable transaction that is read only and deferrable waits for this one's end.
await db.open(app, 'writer', 'begin isolation level serializable', 'select pg_current_xact_id()')

const MASTERS = new Set(['user', 'superuser'])
/** In `pg_settings` of no server, and settable for a role all the same. */
const UNLISTED = [
  { name: 'role', values: ['bystander', 'nobody there'] },
  { name: 'session_authorization', values: ['bystander'] },
  { name: 'force_parallel_mode', values: ['on', 'regress'] },
  { name: 'rds.rds_superuser_reserved_connections', values: ['90', 'many', ''] },
  { name: 'slotkeeper.outcomes', values: ['[]', 'nobody'] },
  { name: 'slotkeeper.outcomes', values: ['[]', 'nothing'] },
]
const TEXTS: Record<string, string[]> = {
  DateStyle: ['SQL, DMY', 'German', 'Postgres, MDY'],
  TimeZone: ['Asia/Kathmandu', 'XYZ-14', 'America/St_Johns'],
  client_encoding: ['LATIN1', 'SJIS', 'SQL_ASCII', 'EUC_JP', 'GB18030'],
  local_preload_libraries: ['nothere'],
  default_table_access_method: ['heap', 'nothere'],
  default_tablespace: ['pg_global', 'nothere'],
  default_text_search_config: ['pg_catalog.german'],
  'plpgsql.extra_errors': ['all', 'shadowed_variables', 'strict_multi_assignment, too_many_rows'],
  'plpgsql.extra_warnings': ['all'],
  restrict_nonsystem_relation_kind: ['view, foreign-table'],
  search_path: ['public', 'pg_temp', 'information_schema'],
  timezone_abbreviations: ['Australia', 'India'],
  wal_consistency_checking: ['all'],
}
/** Without these no login or no PL/pgSQL comes about, and only a superuser can set them: see below. */
const LIBRARIES = new Set(['session_preload_libraries', 'dynamic_library_path'])

/** Fixed by the build, by the locales of this machine, or by the transaction in which they are set. */
const WITHOUT_CHOICE =
  /^(debug_|transaction_|lc_|default_toast_compression$|force_parallel_mode$|role$|session_auth)/

type Setting = { name: string; values: string[] }
type Row = { name: string; setting: string; vartype: string; enumvals: string[] | null } & Record<
  'min_val' | 'max_val',
  string | null
>

function hostileValues({ name, setting, vartype, enumvals, min_val, max_val }: Row): string[] {
  // Shorter, and it can end the session before the statement that lifts it, on a busy machine.
  if (name === 'transaction_timeout') return ['1000']
  if (vartype === 'bool') return [setting === 'on' ? 'off' : 'on']
  if (vartype === 'enum') return (enumvals ?? []).filter((value) => value !== setting)
  if (vartype === 'string') return TEXTS[name] ?? ['odd', '']
  return [...new Set([min_val ?? '', max_val ?? '', '1', '100'])].filter((v) => v !== setting)
}

/** Sets what the server accepts, and tells its names. */
async function set(whom: string, settings: [name: string, value: string][]): Promise<string[]> {
  const { rows } = await db.admin
    .query<{ name: string }>(
      `do $do$
     declare
       pair record;
       done text[] := '{}';
     begin
       for pair in select * from json_to_recordset(${escapeLiteral(
         JSON.stringify(settings.map(([name, value]) => ({ name, value }))),
       )}) as p(name text, value text) loop
         begin
           execute format('alter ${whom} set %I = %L', pair.name, pair.value);
           done := done || pair.name;
         exception when others then null;
         end;
       end loop;
       perform set_config('test.done', array_to_json(done)::text, false);
     end $do$;
     select json_array_elements_text(current_setting('test.done')::json) as name`,
    )
    .then((results) => (results as unknown as (typeof results)[]).at(-1) as typeof results)
  return rows.map(({ name }) => name)
}

await db.admin.query("load 'plpgsql'")
const { rows: listed } = await db.admin.query<Row & { context: string }>(
  `select name, setting, context, vartype, enumvals, min_val, max_val from pg_settings`,
)
const settings: Setting[] = [
  ...listed
    .filter(({ name, context }) => MASTERS.has(context) && !LIBRARIES.has(name))
    .map((row) => ({ name: row.name, values: hostileValues(row) })),
  ...UNLISTED,
]
const ROUNDS = Math.max(...settings.map(({ values }) => values.length))
const valuesOf = (round: number) =>
  settings.flatMap(({ name, values }): [string, string][] =>
    values.length === 0 ? [] : [[name, values[round % values.length] as string]],
  )

/** What a report says beyond the instant, the way in, and which processes they happened to be. */
function essence({ at, durationMs, entry, ...report }: Report): unknown {
  const told = JSON.stringify(report, (key, value) => {
    if (key === 'pid') return 0
    if (key === 'ageSeconds') return Math.floor(value / 1000)
    if (key === 'opened') return value === null ? value : typeof value
    return value
  })
  return JSON.parse(told)
}

async function sweepWith(gate: Gate): Promise<unknown> {
  const victims = await Promise.all(Array.from({ length: VICTIMS }, () => db.open(app, 'php')))
  try {
    const { report } = await sweep(
      gate,
      { target: 'test', policy: idleAtOnce, mode: 'reap' },
      deadlineIn(SWEEP_MS),
    )
    expect(report.reaped.map(({ pid }) => pid).sort()).toEqual(victims.map(({ pid }) => pid).sort())
    await Promise.all(victims.map(({ ended }) => ended))
    return essence(report)
  } finally {
    await Promise.all(victims.map(({ client }) => client.end().catch(() => undefined)))
  }
}

/** Over a new connection, and then over the kept one. */
async function sweepTwice(role: Role, database = DATABASE): Promise<unknown[]> {
  await isAlone()
  const gate = createGate(async () => db.credentials(role, database), false)
  try {
    return [await sweepWith(gate), await sweepWith(gate)]
  } finally {
    await gate.close()
  }
}

async function sweepAsWalsender(role: Role, database = DATABASE): Promise<unknown> {
  const credentials = db.credentials(role, database)
  const gate: Gate = {
    ...createGate(async () => credentials, false),
    open: () => connect(credentials, false, 'walsender', LOGIN_MS),
  }
  await isAlone()
  return sweepWith(gate)
}

const PASSING = `from pg_stat_activity
  where application_name = any('{php,stuck}') or usename = any('{reaper,replicator,untouched}')`

/** No session is left that the next sweep would count. */
function isAlone(): Promise<void> {
  return until(async () => (await db.admin.query(`select ${PASSING}`)).rows.length === 0)
}

const WHOM = {
  'the role': ['role reaper', 'role replicator'],
  'the database': [`database ${DATABASE}`],
  both: [
    'role reaper',
    'role replicator',
    `database ${DATABASE}`,
    `role reaper in database ${DATABASE}`,
    `role replicator in database ${DATABASE}`,
  ],
}

afterEach(async () => {
  await db.admin.query(`select pg_terminate_backend(pid) ${PASSING}`)
  await isAlone()
  for (const whom of WHOM.both) await db.admin.query(`alter ${whom} reset all`)
})

test('the settings that are tried are those of the server', async () => {
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
describe.each(Object.entries(WHOM))('whatever is set for %s', (_, targets) => {
  test.each(rounds)('a sweep does and tells the same, round %i', async (round) => {
    for (const [index, whom] of targets.entries()) await set(whom, valuesOf(round + index))
    expect(await sweepTwice(reaper)).toEqual(usual)
    expect(await sweepAsWalsender(replicator)).toEqual(usualAsWalsender)
  })
})

describe('what takes time is not cut short', () => {
  /** In ms: shorter than a sweep that waits for a session which does not go. */
  const SHORT = '1000'
  const TIMEOUTS = [
    'statement_timeout',
    'lock_timeout',
    'idle_session_timeout',
    'transaction_timeout',
  ]

  test('where a session does not go', async () => {
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

  test('where a catalog is locked for a moment', async () => {
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

test('one refusal does not end the sweep where errors end a session', async () => {
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

describe('what only an administrator can mend', () => {
  test('a library that is missing refuses the login, and the error names it', async () => {
    await set('role reaper', [['session_preload_libraries', 'nothere']])
    await expect(sweepTwice(reaper)).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringMatching(/nothere.*session_preload_libraries/s),
    })
  })

  // Before 18 PL/pgSQL is found in $libdir, whatever the path says.
  ifFrom(18)('without PL/pgSQL nobody is said to have been ended', async () => {
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

  ifFrom(17)('a trigger at login that fails is named', async () => {
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

test('a read replica is swept, whatever is set', async () => {
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
