import * as v from 'valibot'
import { readAnswer } from '../../lambda/postgres/answer.ts'
import type { Link } from '../../lambda/postgres/connect.ts'
import { nameBytes, readName } from '../../lambda/postgres/names.ts'

/**
 * The settings that a sweep pins for its own session and the doctor reads. The doctor does not pin them: only
 * then `pg_settings` shows the value that the server has.
 */
export const UNPINNED = [
  'idle_session_timeout',
  'idle_in_transaction_session_timeout',
  'client_connection_check_interval',
  'work_mem',
]

const SETTINGS = [...UNPINNED, 'max_wal_senders', 'shared_buffers', 'tcp_keepalives_idle']

/** Sources of a value that the role or the database of the doctor's own session has, and the server has not. */
const OF_SESSION = ['database', 'user', 'database user', 'client', 'session', 'interactive']

const READ_SETTINGS = `
select
  case when exists (select from pg_roles where rolname = 'rds_superuser')
    then case when exists (select from pg_proc where proname = 'aurora_version') then 'aurora' else 'rds' end
    else 'community' end as kind,
  extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 as "upSeconds",
  coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0) as "reservedConnections";
select s.name, s.reset_val as value, s.unit, s.source from pg_settings s
  where s.name in (${SETTINGS.map((name) => `'${name}'`).join(', ')})`

const READ_ROLES = `
select current_setting('server_encoding') as encoding, current_setting('is_superuser') = 'on' as "isSuperuser";
select
  ${nameBytes('r.rolname')} as name,
  r.oid = 10 as bootstrap,
  r.rolsuper as superuser,
  r.rolcreaterole as "createRole",
  r.rolcreatedb as "createDatabase",
  r.rolbypassrls as "bypassRls",
  r.rolreplication as replication,
  r.rolconnlimit as "limit",
  r.rolcanlogin as "canLogIn",
  exists (
    select from pg_roles m where m.rolname = 'rds_superuser' and pg_has_role(r.oid, m.oid, 'member')
      and r.oid <> m.oid and not r.rolsuper
  ) as master,
  pg_has_role(r.oid, 'member') as own
from pg_roles r;
select ${nameBytes('m.rolname')} as name from pg_auth_members a
  join pg_roles m on m.oid = a.roleid join pg_roles r on r.oid = a.member
  where r.rolname = session_user;
select ${nameBytes('d.datname')} as name, d.datconnlimit as "limit" from pg_database d;
select
  ${nameBytes('d.datname')} as database,
  ${nameBytes('r.rolname')} as role,
  array_to_json(s.setconfig) as settings
from pg_db_role_setting s
left join pg_database d on d.oid = s.setdatabase
left join pg_roles r on r.oid = s.setrole`

const settingsSchema = v.strictTuple([
  v.strictTuple([
    v.object({
      kind: v.picklist(['community', 'rds', 'aurora']),
      upSeconds: v.number(),
      reservedConnections: v.number(),
    }),
  ]),
  v.array(
    v.object({
      name: v.string(),
      value: v.nullable(v.string()),
      unit: v.nullable(v.string()),
      source: v.string(),
    }),
  ),
])

const roleSchema = v.object({
  name: v.string(),
  /** The superuser that initdb made, which can't lose that attribute. */
  bootstrap: v.boolean(),
  superuser: v.boolean(),
  createRole: v.boolean(),
  createDatabase: v.boolean(),
  bypassRls: v.boolean(),
  replication: v.boolean(),
  /** CONNECTION LIMIT; -1 means none. */
  limit: v.number(),
  canLogIn: v.boolean(),
  /** The master user of RDS, or another member of `rds_superuser`. */
  master: v.boolean(),
  /** The doctor's role is a member of it. */
  own: v.boolean(),
})
const nameOrNull = v.nullable(v.string())
const rolesSchema = v.strictTuple([
  v.strictTuple([v.object({ encoding: v.string(), isSuperuser: v.boolean() })]),
  v.array(roleSchema),
  v.array(v.object({ name: v.string() })),
  v.array(v.object({ name: v.string(), limit: v.number() })),
  v.array(
    v.object({ database: nameOrNull, role: nameOrNull, settings: v.nullable(v.array(v.string())) }),
  ),
])

export type RoleFacts = v.InferOutput<typeof roleSchema>
export type ServerKindName = 'community' | 'rds' | 'aurora'

/** A value that ALTER ROLE or ALTER DATABASE has set. NULL for the role or the database means all of them. */
export type Override = { database: string | null; role: string | null; name: string; value: string }

/** The settings of the whole server, in bytes and milliseconds. NULL if a setting of the doctor's role hides it. */
export type Settings = {
  kind: ServerKindName
  /** Seconds since the server started. */
  upSeconds: number
  reservedConnections: number
  values: Record<string, number | null>
}

export type Roles = {
  roles: RoleFacts[]
  /** What the doctor's role was granted directly. */
  granted: string[]
  databases: { name: string; limit: number }[]
  overrides: Override[]
}

export async function readSettings(link: Link, timeoutMs: number): Promise<Settings> {
  const answer = readAnswer(settingsSchema, await link.query(READ_SETTINGS, timeoutMs))
  const [[server], rows] = answer
  const values = rows.map(({ name, value, unit, source }) => {
    const isHidden = UNPINNED.includes(name) && OF_SESSION.includes(source)
    return [name, isHidden || value === null ? null : inBaseUnit(value, unit)]
  })
  return { ...server, values: Object.fromEntries(values) }
}

export async function readRoles(link: Link, timeoutMs: number): Promise<Roles> {
  const answer = readAnswer(rolesSchema, await link.query(READ_ROLES, timeoutMs))
  const [[{ encoding }], roles, granted, databases, overrides] = answer
  const name = (escaped: string) => readName(escaped, encoding)
  return {
    roles: roles.map((role) => ({ ...role, name: name(role.name) })),
    granted: granted.map((role) => name(role.name)),
    databases: databases.map((database) => ({ ...database, name: name(database.name) })),
    overrides: overrides.flatMap(({ database, role, settings }) =>
      (settings ?? []).map((setting) => {
        const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(setting) ?? []
        return {
          database: database === null ? null : name(database),
          role: role === null ? null : name(role),
          name: key,
          value,
        }
      }),
    ),
  }
}

const UNITS: Record<string, number> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  B: 1,
  kB: 1024,
  '8kB': 8192,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
  TB: 1024 ** 4,
}

/**
 * Reads a setting as PostgreSQL writes it, such as `15min` or `16384`.
 * @param unit of a number without one; NULL for none
 * @returns milliseconds or bytes; NULL if it is not a number
 */
export function inBaseUnit(value: string, unit: string | null): number | null {
  const [, digits, own] = /^\s*(-?[\d.]+)\s*([A-Za-z]*)\s*$/.exec(value) ?? []
  const factor = UNITS[own || unit || 'B']
  return digits === undefined || factor === undefined ? null : Number(digits) * factor
}
