import { escapeLiteral } from 'pg'
import { afterEach, expect } from 'vitest'
import type { Report } from '../../lambda/core/report.ts'
import { connect } from '../../lambda/postgres/connect.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../../lambda/postgres/gate.ts'
import { sweep } from '../../lambda/sweep.ts'
import { REAPER_ROLES, type Role, testServer, until } from './server.ts'
import { policy } from './session.ts'

const VICTIMS = 3
/** So many, with so long a query each, that one look does not fit into the least `work_mem`. */
const KEPT = 70
const LONG_QUERY = `select 1 -- ${'x'.repeat(1_000)}`
export const DATABASE = 'swept_from'
const LOGIN_MS = 5_000

export const db = await testServer({ max_connections: '120', max_wal_senders: '4' })
export const app = await db.role('shop_app')
await db.trust(app)
export const reaper = await db.role('reaper', REAPER_ROLES)
export const untouched = await db.role('untouched', REAPER_ROLES, 'replication')
export const replicator = await db.role('replicator', REAPER_ROLES, 'replication')
await db.admin.query(`create database ${DATABASE}`)
await db.admin.query('create role bystander; grant bystander to reaper, replicator')

export const idleAtOnce = policy({
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
export const WITHOUT_CHOICE =
  /^(debug_|transaction_|lc_|default_toast_compression$|force_parallel_mode$|role$|session_auth)/

type Setting = { name: string; values: string[] }
type Row = {
  name: string
  setting: string
  vartype: string
  enumvals: string[] | null
} & Record<'min_val' | 'max_val', string | null>

function hostileValues({ name, setting, vartype, enumvals, min_val, max_val }: Row): string[] {
  // Shorter, and it can end the session before the statement that lifts it, on a busy machine.
  if (name === 'transaction_timeout') return ['1000']
  if (vartype === 'bool') return [setting === 'on' ? 'off' : 'on']
  if (vartype === 'enum') return (enumvals ?? []).filter((value) => value !== setting)
  if (vartype === 'string') return TEXTS[name] ?? ['odd', '']
  return [...new Set([min_val ?? '', max_val ?? '', '1', '100'])].filter((v) => v !== setting)
}

/** Sets what the server accepts, and tells its names. */
export async function set(
  whom: string,
  settings: [name: string, value: string][],
): Promise<string[]> {
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
export const { rows: listed } = await db.admin.query<Row & { context: string }>(
  `select name, setting, context, vartype, enumvals, min_val, max_val from pg_settings`,
)
export const settings: Setting[] = [
  ...listed
    .filter(({ name, context }) => MASTERS.has(context) && !LIBRARIES.has(name))
    .map((row) => ({ name: row.name, values: hostileValues(row) })),
  ...UNLISTED,
]
export const ROUNDS = Math.max(...settings.map(({ values }) => values.length))
export const valuesOf = (round: number) =>
  settings.flatMap(({ name, values }): [string, string][] =>
    values.length === 0 ? [] : [[name, values[round % values.length] as string]],
  )

/** What a report says beyond the instant, the way in, and which processes they happened to be. */
export function essence({ at, durationMs, entry, ...report }: Report): unknown {
  const told = JSON.stringify(report, (key, value) => {
    if (key === 'pid') return 0
    if (key === 'ageSeconds') return Math.floor(value / 1000)
    if (key === 'opened') return value === null ? value : typeof value
    return value
  })
  return JSON.parse(told)
}

export async function sweepWith(gate: Gate): Promise<unknown> {
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
export async function sweepTwice(role: Role, database = DATABASE): Promise<unknown[]> {
  await isAlone()
  const gate = createGate(async () => db.credentials(role, database), false)
  try {
    return [await sweepWith(gate), await sweepWith(gate)]
  } finally {
    await gate.close()
  }
}

export async function sweepAsWalsender(role: Role, database = DATABASE): Promise<unknown> {
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
export function isAlone(): Promise<void> {
  return until(async () => (await db.admin.query(`select ${PASSING}`)).rows.length === 0)
}

export const WHOM = {
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
