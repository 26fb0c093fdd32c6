import { quoteIdentifier } from '../core/grants.ts'
import type { Session, Snapshot } from '../core/session.ts'
import { SlotkeeperError } from '../errors.ts'
import type { Link } from './connect.ts'

// One message, so one transaction and one round trip; the second statement is the one look at
// pg_stat_activity. Instants travel as epoch text: exact to the microsecond, whatever DateStyle or
// TimeZone the role has set.
const TAKE_SNAPSHOT = `
select
  current_setting('server_version_num')::int as "serverVersion",
  extract(epoch from clock_timestamp())::text as at,
  pg_backend_pid() as "ownPid",
  session_user as "ownUser",
  pg_has_role(current_user, 'pg_read_all_stats', 'usage') as "seesAll",
  current_setting('max_connections')::int as max,
  current_setting('superuser_reserved_connections')::int
    + coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0)
    + coalesce(nullif(current_setting('rds.rds_superuser_reserved_connections', true), '')::int, 0)
    as reserved,
  (select sum(d.sessions)::float8 from pg_stat_database d) as opened;
select
  a.pid,
  a.usename as user,
  a.datname as database,
  a.application_name as application,
  coalesce(host(a.client_addr), 'local') as client,
  a.state,
  extract(epoch from a.backend_start)::text as "backendStart",
  extract(epoch from a.state_change)::text as "stateChange",
  extract(epoch from a.xact_start)::text as "transactionStart",
  r.rolsuper as superuser,
  -- Only the last query shows; a comment before it is the habit of query taggers.
  a.query ~* '^\\s*(/\\*.*?\\*/\\s*)*listen\\M' as listening,
  a.pid in (select l.pid from pg_locks l where l.locktype = 'advisory' and l.granted)
    as "advisoryLock"
from pg_stat_activity a
left join pg_roles r on r.oid = a.usesysid
-- Walsenders between commands are 'idle' as well, and hold no client's slot.
where a.backend_type = 'client backend'`

type Head = Pick<Snapshot, 'serverVersion' | 'ownPid' | 'ownUser' | 'opened'> & {
  at: string
  seesAll: boolean
  max: number
  reserved: number
}

type Row = Omit<Session, 'ageSeconds' | 'transactionSeconds'> & { transactionStart: string | null }

/**
 * Takes one snapshot.
 * @throws SlotkeeperError of kind `blind` where the role lacks `pg_read_all_stats`: the columns
 *   that matter are NULL then, and a server full of idle sessions would look healthy
 */
export async function takeSnapshot(link: Link, timeoutMs: number): Promise<Snapshot> {
  const [[head], rows] = (await link.query(TAKE_SNAPSHOT, timeoutMs)) as [[Head], Row[]]
  const { at, seesAll, max, reserved, ...server } = head
  if (!seesAll) {
    throw new SlotkeeperError(
      'blind',
      `role ${server.ownUser} can't see other roles' sessions, so nothing was decided. ` +
        `As an administrator: GRANT pg_monitor TO ${quoteIdentifier(server.ownUser)};`,
    )
  }
  const now = Number(at)
  // A clock that was set back between two stamps gives no negative age.
  const since = (instant: string | null) =>
    instant === null ? null : Math.max(0, now - Number(instant))
  const sessions = rows.map(({ transactionStart, ...row }) => ({
    ...row,
    ageSeconds: since(row.stateChange),
    transactionSeconds: since(transactionStart),
  }))
  return { ...server, atMs: now * 1000, slots: { max, reserved }, sessions }
}
