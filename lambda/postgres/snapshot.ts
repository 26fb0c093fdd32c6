import * as v from 'valibot'
import { type Session, type Snapshot, secondsSince } from '../core/session.ts'
import { SlotkeeperError } from '../errors.ts'
import { loadLate } from '../load-late.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { epoch } from './instants.ts'
import { backsUp, listens } from './last-query.ts'
import { nameBytes, readName } from './names.ts'

/** SQL for the number of slots that ordinary roles can't take. */
export const RESERVED = `current_setting('superuser_reserved_connections')::int
    + coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0)
    -- Outside RDS, any role may set a parameter of this name to any value.
    + case when exists (select from pg_roles where rolname = 'rds_superuser')
        then coalesce(nullif(current_setting('rds.rds_superuser_reserved_connections', true), '')::int, 0)
        else 0 end`

// Both statements travel in one message, so in one transaction and one round trip. Times travel as epoch text,
// which is exact to the microsecond whatever DateStyle, TimeZone or extra_float_digits the role has set.

const READ_SERVER = `
select
  current_setting('server_version_num')::int as "serverVersion",
  ${epoch('clock_timestamp()')}::text as at,
  pg_backend_pid() as "ownPid",
  ${nameBytes('session_user')} as "ownUser",
  current_setting('server_encoding') as encoding,
  pg_has_role('pg_read_all_stats', 'usage') as "seesAll",
  pg_has_role('pg_read_all_stats', 'member') as "isMember",
  pg_has_role('pg_monitor', 'member') as "isMonitor",
  pg_has_role('pg_signal_backend', 'usage') as "maySignal",
  pg_has_role('pg_signal_backend', 'member') as "isSignaller",
  coalesce((select rolinherit from pg_roles where rolname = session_user), true) as inherits,
  current_setting('max_connections')::int as max,
  ${RESERVED} as reserved,
  (select sum(d.sessions)::float8 from pg_stat_database d) as opened`

/**
 * Sessions that differ only in their process and their instants travel as one row, with an array for each of these:
 * most sessions belong to a few pools, and each row and each name costs time on both sides. The statement calls the
 * function that pg_stat_activity is built on, because the view joins roles and databases itself and does not show
 * whether a role is a superuser. Arrays of the same group have the same order.
 */
const READ_SESSIONS = `
select
  ${nameBytes('r.rolname')} as user,
  ${nameBytes('d.datname')} as database,
  g.application,
  g.client,
  g.state,
  r.rolsuper as superuser,
  coalesce(pg_has_role(r.oid, 'usage'), false) as owned,
  g.listening,
  g.backup,
  g.pids,
  g."backendStarts",
  g."stateChanges",
  g."transactionStarts"
from (
  select
    a.usesysid,
    a.datid,
    a.application_name as application,
    a.client_addr as client,
    a.state,
    ${listens('a.query')} as listening,
    ${backsUp('a.query')} as backup,
    array_agg(a.pid) as pids,
    array_agg(${epoch('a.backend_start')}) as "backendStarts",
    array_agg(${epoch('a.state_change')}) as "stateChanges",
    array_agg(${epoch('a.xact_start')}) as "transactionStarts"
  from pg_stat_get_activity(null) a
  -- Walsenders between commands are 'idle' too, but hold no client slot. The CASE is there because for a plain
  -- comparison the planner expects one row, and then reads pg_database again for each session.
  where case a.backend_type when 'client backend' then true end
  group by 1, 2, 3, 4, 5, 6, 7
) g
left join pg_roles r on r.oid = g.usesysid
left join pg_database d on d.oid = g.datid`

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const instant = v.pipe(v.string(), v.regex(/^\d{1,11}(\.\d{1,6})?$/))

const headSchema = v.object({
  serverVersion: whole,
  at: instant,
  ownPid: whole,
  ownUser: v.string(),
  encoding: v.string(),
  seesAll: v.boolean(),
  isMember: v.boolean(),
  isMonitor: v.boolean(),
  maySignal: v.boolean(),
  isSignaller: v.boolean(),
  inherits: v.boolean(),
  max: whole,
  reserved: whole,
  opened: whole,
})

/** What the sessions of one row have in common. */
type Row = Pick<Session, 'user' | 'database' | 'application' | 'state' | 'superuser' | 'owned'> &
  Pick<Session, 'listening' | 'backup'> & {
    /** NULL for the Unix socket. */
    client: string | null
  } & Record<(typeof ARRAYS)[number], string>

/** The columns with one entry for each session of the row, as PostgreSQL writes arrays: `{1,2,NULL}`. */
const ARRAYS = ['pids', 'backendStarts', 'stateChanges', 'transactionStarts'] as const

const isText = (value: unknown) => typeof value === 'string'
const isTextOrNull = (value: unknown) => value === null || isText(value)
const isTruth = (value: unknown) => typeof value === 'boolean'
const isTruthOrNull = (value: unknown) => value === null || isTruth(value)
const isPid = (entry: string) => entry !== '' && Number.isSafeInteger(Number(entry))
const isInstant = (entry: string) => entry !== '' && isSecond(Number(entry))
const isInstantOrNull = (entry: string) => entry === NULL || isInstant(entry)
const isSecond = (seconds: number) => seconds >= 0 && seconds < 1e11

/** As PostgreSQL writes NULL in an array. */
const NULL = 'NULL'

/** Written without the schema library, because it checks thousands of sessions each minute. */
function isRow(value: unknown): value is Row {
  const row = value as Record<keyof Row, unknown>
  return (
    isTextOrNull(row.user) &&
    isTextOrNull(row.database) &&
    isText(row.application) &&
    isTextOrNull(row.client) &&
    isTextOrNull(row.state) &&
    isTruthOrNull(row.superuser) &&
    isTruth(row.owned) &&
    isTruth(row.listening) &&
    isTruthOrNull(row.backup) &&
    ARRAYS.every((name) => isText(row[name]))
  )
}

/** What the sessions of a row have in common, and the arrays of what differs. All arrays are of the same length. */
type Group = { row: Row; pids: string[]; starts: string[]; changes: string[]; begins: string[] }

/** Divides the arrays of a row. Returns undefined if they are not what the statement produces. */
function readGroup(row: Row): Group | undefined {
  const [pids, starts, changes, begins] = ARRAYS.map((name) =>
    row[name].slice(1, -1).split(','),
  ) as [string[], string[], string[], string[]]
  const isSound =
    [starts, changes, begins].every(({ length }) => length === pids.length) &&
    pids.every(isPid) &&
    starts.every(isInstant) &&
    changes.every(isInstantOrNull) &&
    begins.every(isInstantOrNull)
  return isSound ? { row, pids, starts, changes, begins } : undefined
}

function instantAt(entries: string[], place: number): string | null {
  const entry = entries[place] as string
  return entry === NULL ? null : entry
}

const groupSchema = v.pipe(
  v.custom<Row>(isRow),
  v.rawTransform(({ dataset: { value }, addIssue, NEVER }): Group => {
    const group = readGroup(value)
    if (group) return group
    addIssue({ message: 'arrays of another form' })
    return NEVER
  }),
)

const snapshotSchema = v.strictTuple([v.strictTuple([headSchema]), v.array(groupSchema)])

/**
 * Takes one snapshot. It does not read which sessions hold advisory locks and replication slots; `locks.ts`
 * does.
 * @throws SlotkeeperError of kind `blind` if the role lacks `pg_read_all_stats`: the columns that matter are
 *   then NULL, and a server full of idle sessions would look healthy
 * @param pooler whether a pooler may answer: its answer is good enough to read, and not to end sessions by
 * @throws SlotkeeperError of kind `forbidden` if a pooler answers instead of the server
 */
export async function takeSnapshot(
  link: Link,
  timeoutMs: number,
  pooler: 'refused' | 'accepted' = 'refused',
): Promise<Snapshot> {
  const statements = [READ_SERVER, READ_SESSIONS]
  // A pooler may run the next statement in another session, which has not prepared it.
  const asking =
    pooler === 'accepted'
      ? link.query(statements.join('; '), timeoutMs)
      : link.run(statements, timeoutMs)
  const [[head], groups] = readAnswer(snapshotSchema, await asking)
  const {
    at,
    seesAll,
    isMember,
    isMonitor,
    isSignaller,
    inherits,
    max,
    reserved,
    encoding,
    ownUser: own,
    ...server
  } = head
  const ownUser = readName(own, encoding)
  if (pooler === 'refused' && link.processId !== null && link.processId !== server.ownPid) {
    throw behindPooler(link, server.ownPid)
  }
  if (!seesAll) {
    const { blind } = await loadLate()
    throw blind(ownUser, head)
  }
  const now = Number(at)
  const name = (escaped: string | null) => escaped && readName(escaped, encoding)
  const sessions = groups.flatMap(({ row, pids, starts, changes, begins }) => {
    const user = name(row.user)
    const database = name(row.database)
    const client = row.client ?? 'local'
    // The fields are written out, because copying a row with a rest pattern takes longer than everything else
    // here.
    return pids.map((written, place): Session => {
      const pid = Number(written)
      const stateChange = instantAt(changes, place)
      return {
        pid,
        user,
        database,
        application: row.application,
        client,
        // The server's state may be `disabled`: a superuser may have switched `track_activities` off for the
        // sweep's role.
        state: pid === server.ownPid ? 'active' : row.state,
        backendStart: starts[place] as string,
        stateChange,
        ageSeconds: secondsSince(stateChange, now),
        transactionSeconds: secondsSince(instantAt(begins, place), now),
        superuser: row.superuser,
        owned: row.owned,
        listening: row.listening,
        backup: row.backup,
        advisoryLock: null,
        replicationSlot: null,
      }
    })
  })
  const signaller = { isMember: isSignaller, inherits }
  return { ...server, ownUser, signaller, atMs: now * 1000, slots: { max, reserved }, sessions }
}

/**
 * A pooler answers the login itself, and may ignore the settings that a sweep asks for. It may run the next
 * statement in another session of the server.
 */
function behindPooler({ server, processId }: Link, ownPid: number): SlotkeeperError {
  return new SlotkeeperError(
    'forbidden',
    `${server} is a pooler, not a server: its login named process ${processId}, but process ${ownPid} answers. Nothing was ended. Name the server's own endpoint and port.`,
  )
}
