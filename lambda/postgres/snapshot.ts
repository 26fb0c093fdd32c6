import * as v from 'valibot'
import type { Session, Snapshot } from '../core/session.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { backsUp, listens } from './last-query.ts'
import { nameBytes, readName } from './names.ts'

/** SQL for the number of slots that ordinary roles can't take. */
export const RESERVED = `current_setting('superuser_reserved_connections')::int
    + coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0)
    -- Outside RDS, any role may set a parameter of this name to any value.
    + case when exists (select from pg_roles where rolname = 'rds_superuser')
        then coalesce(nullif(current_setting('rds.rds_superuser_reserved_connections', true), '')::int, 0)
        else 0 end`

// One message, so one transaction and one round trip. The second statement reads the sessions. It calls the
// function that pg_stat_activity is built on, because the view joins roles and databases itself and does not
// show whether a role is a superuser. Times travel as epoch text, which is exact to the microsecond whatever
// DateStyle, TimeZone or extra_float_digits the role has set.
const TAKE_SNAPSHOT = `
select
  current_setting('server_version_num')::int as "serverVersion",
  extract(epoch from clock_timestamp())::text as at,
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
  (select sum(d.sessions)::float8 from pg_stat_database d) as opened;
select
  a.pid,
  ${nameBytes('r.rolname')} as user,
  ${nameBytes('d.datname')} as database,
  a.application_name as application,
  a.client_addr as client,
  a.state,
  extract(epoch from a.backend_start)::text as "backendStart",
  extract(epoch from a.state_change)::text as "stateChange",
  extract(epoch from a.xact_start)::text as "transactionStart",
  r.rolsuper as superuser,
  coalesce(pg_has_role(r.oid, 'usage'), false) as owned,
  ${listens('a.query')} as listening,
  ${backsUp('a.query')} as backup
from pg_stat_get_activity(null) a
left join pg_roles r on r.oid = a.usesysid
left join pg_database d on d.oid = a.datid
-- Walsenders between commands are 'idle' too, but hold no client slot. The CASE is there because for a plain
-- comparison the planner expects one row, and then reads pg_database again for each session.
where case a.backend_type when 'client backend' then true end`

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

/** The fields of a session that a row lacks, or has in another form. */
type LookedUp = 'ageSeconds' | 'transactionSeconds' | 'client' | 'advisoryLock' | 'replicationSlot'

type Row = Omit<Session, LookedUp> & {
  /** NULL for the Unix socket. */
  client: string | null
  transactionStart: string | null
}

const isText = (value: unknown) => typeof value === 'string'
const isTextOrNull = (value: unknown) => value === null || isText(value)
const isInstant = (value: unknown) => isText(value) && value !== '' && isSecond(Number(value))
const isInstantOrNull = (value: unknown) => value === null || isInstant(value)
const isSecond = (seconds: number) => seconds >= 0 && seconds < 1e11
const isTruth = (value: unknown) => typeof value === 'boolean'
const isTruthOrNull = (value: unknown) => value === null || isTruth(value)

/** Written without the schema library, because it checks thousands of rows each minute. */
function isRow(value: unknown): value is Row {
  const row = value as Record<keyof Row, unknown>
  return (
    Number.isSafeInteger(row.pid) &&
    isTextOrNull(row.user) &&
    isTextOrNull(row.database) &&
    isText(row.application) &&
    isTextOrNull(row.client) &&
    isTextOrNull(row.state) &&
    isInstant(row.backendStart) &&
    isInstantOrNull(row.stateChange) &&
    isInstantOrNull(row.transactionStart) &&
    isTruthOrNull(row.superuser) &&
    isTruth(row.owned) &&
    isTruth(row.listening) &&
    isTruthOrNull(row.backup)
  )
}

const snapshotSchema = v.strictTuple([v.strictTuple([headSchema]), v.array(v.custom<Row>(isRow))])

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
  const [[head], rows] = readAnswer(snapshotSchema, await link.query(TAKE_SNAPSHOT, timeoutMs))
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
    // This module imports the driver. The driver is loaded by now; a static import would load it at the cold
    // start.
    const { blind } = await import('./rights.ts')
    throw blind(ownUser, head)
  }
  const now = Number(at)
  // If the server's clock was set back, the age is 0 and not negative.
  const since = (instant: string | null) =>
    instant === null ? null : Math.max(0, now - Number(instant))
  const name = (escaped: string | null) => escaped && readName(escaped, encoding)
  // The fields are written out, because copying a row with a rest pattern takes longer than everything else
  // here.
  const sessions = rows.map(
    (row): Session => ({
      pid: row.pid,
      user: name(row.user),
      database: name(row.database),
      application: row.application,
      client: row.client ?? 'local',
      // The server's state may be `disabled`: a superuser may have switched `track_activities` off for the
      // sweep's role.
      state: row.pid === server.ownPid ? 'active' : row.state,
      backendStart: row.backendStart,
      stateChange: row.stateChange,
      ageSeconds: since(row.stateChange),
      transactionSeconds: since(row.transactionStart),
      superuser: row.superuser,
      owned: row.owned,
      listening: row.listening,
      backup: row.backup,
      advisoryLock: null,
      replicationSlot: null,
    }),
  )
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
