import { escapeIdentifier, escapeLiteral } from 'pg'
import * as v from 'valibot'
import {
  type Bounds,
  removed,
  type Setting,
  samePlace,
  settingsOf,
  timeoutMs,
  writeTimeout,
} from '../core/bounds.ts'
import { printable } from '../core/text.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

const STATEMENT_MS = 5_000
const PG_17 = 170000
/** ALTER ROLE's number for no limit. */
const NO_LIMIT = -1

/** What decides which statements the bounds of a server need. */
export type BoundedServer = {
  /** As `server_version_num`. */
  serverVersion: number
  databases: string[]
  roles: {
    name: string
    superuser: boolean
    login: boolean
    /** -1 if it has no limit. */
    limit: number
    /** How many sessions it has now. NULL if this role may not see them. */
    sessions: number | null
  }[]
  /** What ALTER ROLE … SET has set, as the catalog has it, for example `idle_session_timeout=15min`. */
  settings: { user: string; database: string | null; settings: string[] }[]
}

const serverSchema = v.strictTuple([
  v.strictTuple([v.object({ serverVersion: v.number() })]),
  v.array(v.object({ name: v.string() })),
  v.array(
    v.object({
      name: v.string(),
      superuser: v.boolean(),
      login: v.boolean(),
      limit: v.number(),
      sessions: v.nullable(v.number()),
    }),
  ),
  v.array(
    v.object({ user: v.string(), database: v.nullable(v.string()), settings: v.array(v.string()) }),
  ),
])

const names = (all: string[]) => all.map(escapeLiteral).join(', ') || 'null'

/** The statement that reads what the bounds are about. The names are compared as they are. */
const lookAtBounded = (users: string[], databases: string[]) => `
select current_setting('server_version_num')::int as "serverVersion";
select datname::text as name from pg_database where datname in (${names(databases)});
select rolname::text as name, rolsuper as superuser, rolcanlogin as login, rolconnlimit as "limit",
    (select count(*)::int from pg_stat_activity a where a.usesysid = r.oid) as sessions
  from pg_roles r where rolname in (${names(users)});
select r.rolname::text as "user", d.datname::text as database, array_to_json(s.setconfig) as settings
  from pg_db_role_setting s join pg_roles r on r.oid = s.setrole
    left join pg_database d on d.oid = s.setdatabase
  where r.rolname in (${names(users)}) and (s.setdatabase = 0 or d.datname is not null);`

/** Reads what the server has of the roles and databases in these bounds. */
export async function readBounded(link: Link, ...bounds: Bounds[]): Promise<BoundedServer> {
  const all = bounds.flat()
  const users = [...new Set(all.map(({ user }) => user))]
  const databases = [
    ...new Set(all.flatMap(({ database }) => (database === undefined ? [] : [database]))),
  ]
  const answer = await link.query(lookAtBounded(users, databases), STATEMENT_MS)
  const [[version], known, roles, settings] = readAnswer(serverSchema, answer)
  return { ...version, databases: known.map(({ name }) => name), roles, settings }
}

/** The statements that make a server's bounds, and what a person should know of them. */
export type Changes = { statements: string[]; notes: string[] }

/**
 * The statements that set the bounds, and that take back those which are no longer wanted. A value that a person
 * has changed since is not taken back.
 * @param own the role of the sweep, which is bound by nothing
 * @param before the bounds of the last deployment
 * @throws SlotkeeperError of kind `settings` that names every role and database that can't be bound
 */
export function changesOf(
  server: BoundedServer,
  own: string,
  wanted: Bounds,
  before: Bounds = [],
): Changes {
  const problems = problemsOf(server, own, wanted)
  if (problems.length > 0) {
    throw new SlotkeeperError('settings', `${problems.join('; ')}. No bound was changed.`)
  }
  const settings = settingsOf(wanted)
  const former = settingsOf(before)
  const parts = [
    ...settings.map((setting) => set(server, setting, former)),
    ...removed(former, settings).map((setting) => takeBack(server, setting)),
  ]
  return {
    statements: parts.flatMap(({ sql }) => (sql === undefined ? [] : [sql])),
    notes: [...parts.flatMap(({ note }) => note ?? []), ...sessionNotes(server, wanted)],
  }
}

function problemsOf({ roles, databases }: BoundedServer, own: string, wanted: Bounds): string[] {
  return wanted.flatMap(({ user, database, connectionLimit }, index) => {
    const path = `bounds[${index}]`
    const role = roles.find(({ name }) => name === user)
    const problems: string[] = []
    if (role === undefined) {
      problems.push(`${path}.user: the server has no role ${printable(user)}`)
    } else if (user === own) {
      problems.push(
        `${path}.user: ${printable(user)} is the role of the sweep; expected a role of an application`,
      )
    } else if (role.superuser && connectionLimit !== undefined) {
      problems.push(
        `${path}.connectionLimit: ${printable(user)} is a superuser, for whom PostgreSQL enforces no limit`,
      )
    }
    if (database !== undefined && !databases.includes(database)) {
      problems.push(`${path}.database: the server has no database ${printable(database)}`)
    }
    return problems
  })
}

/** A bound that has no effect, or an effect that one may not expect. */
function sessionNotes({ roles }: BoundedServer, wanted: Bounds): string[] {
  return wanted.flatMap(({ user, connectionLimit }) => {
    const role = roles.find(({ name }) => name === user)
    const notes: string[] = []
    if (role?.login === false) {
      notes.push(`${printable(user)} can't log in, and its members do not inherit its bounds`)
    }
    const sessions = role?.sessions ?? 0
    if (connectionLimit !== undefined && sessions >= connectionLimit) {
      notes.push(
        `${printable(user)} has ${sessions} sessions now: the server refuses its new logins until fewer than ${connectionLimit} are left`,
      )
    }
    return notes
  })
}

type Part = { sql?: string; note?: string }

/** A value that is neither this one nor that of the last deployment was set by a person, who should know of it. */
function set(server: BoundedServer, setting: Setting, former: Setting[]): Part {
  if (setting.name === 'connection limit') {
    const sql = `${alter(setting)} CONNECTION LIMIT ${setting.limit};`
    const { limit = NO_LIMIT } = roleOf(server, setting) ?? {}
    const known = former.some(
      (one) => samePlace(one, setting) && 'limit' in one && one.limit === limit,
    )
    return limit === NO_LIMIT || limit === setting.limit || known
      ? { sql }
      : { sql, note: `${inWords(setting)} was ${limit}` }
  }
  if (setting.name === 'transaction_timeout' && server.serverVersion < PG_17) {
    const major = Math.floor(server.serverVersion / 10_000)
    return { note: `${inWords(setting)} is not set: PostgreSQL ${major} lacks it (new in 17)` }
  }
  const sql = `${alter(setting)} SET ${setting.name} = ${escapeLiteral(writeTimeout(setting.ms))};`
  const found = settingOf(server, setting)
  const foundMs = found === undefined ? undefined : timeoutMs(found)
  const known = former.some((one) => samePlace(one, setting) && 'ms' in one && one.ms === foundMs)
  return found === undefined || foundMs === setting.ms || known
    ? { sql }
    : { sql, note: `${inWords(setting)} was ${printable(found)}` }
}

/** Nothing if the role or the database is gone, or a person has taken the value back. */
function takeBack(server: BoundedServer, setting: Setting): Part {
  const role = roleOf(server, setting)
  if (role === undefined) return {}
  const kept = (found: string | number) => ({
    note: `${inWords(setting)} stays ${printable(String(found))}: it was changed since the last deployment`,
  })
  if (setting.name === 'connection limit') {
    if (role.limit === NO_LIMIT) return {}
    if (role.limit !== setting.limit) return kept(role.limit)
    return { sql: `${alter(setting)} CONNECTION LIMIT ${NO_LIMIT};` }
  }
  const found = settingOf(server, setting)
  if (found === undefined) return {}
  if (timeoutMs(found) !== setting.ms) return kept(found)
  return { sql: `${alter(setting)} RESET ${setting.name};` }
}

function roleOf({ roles }: BoundedServer, { user }: Setting) {
  return roles.find(({ name }) => name === user)
}

function settingOf({ settings }: BoundedServer, setting: Setting): string | undefined {
  const { user, database = null, name } = setting
  const own = settings.find((one) => one.user === user && one.database === database)
  const prefix = `${name}=`
  return own?.settings.find((text) => text.startsWith(prefix))?.slice(prefix.length)
}

function alter({ user, database }: Setting): string {
  const where = database === undefined ? '' : ` IN DATABASE ${escapeIdentifier(database)}`
  return `ALTER ROLE ${escapeIdentifier(user)}${where}`
}

function inWords({ user, database, name }: Setting): string {
  const where = database === undefined ? '' : ` in ${printable(database)}`
  return `${name} of ${printable(user)}${where}`
}

/**
 * Sets the bounds and takes back the former ones, in one transaction.
 * @returns the statements that ran, and what a person should know
 * @throws SlotkeeperError of kind `settings` for a role or database that can't be bound, or with the statement
 *   that the server refused. Nothing is changed then.
 */
export async function applyBounds(
  link: Link,
  own: string,
  wanted: Bounds,
  before: Bounds = [],
): Promise<Changes> {
  if (wanted.length + before.length === 0) return { statements: [], notes: [] }
  await link.query('BEGIN', STATEMENT_MS)
  try {
    const server = await readBounded(link, wanted, before)
    const changes = changesOf(server, own, wanted, before)
    for (const sql of changes.statements) await run(link, sql)
    await link.query('COMMIT', STATEMENT_MS)
    return changes
  } catch (error) {
    // If the connection was lost, the server rolls back by itself.
    await link.query('ROLLBACK', STATEMENT_MS).catch(() => undefined)
    throw error
  }
}

async function run(link: Link, sql: string): Promise<void> {
  try {
    await link.query(sql, STATEMENT_MS)
  } catch (error) {
    const kind = error instanceof SlotkeeperError ? error.kind : 'query'
    throw new SlotkeeperError(kind, `"${sql}": ${messageOf(error)}. No bound was changed.`, {
      cause: error,
    })
  }
}
