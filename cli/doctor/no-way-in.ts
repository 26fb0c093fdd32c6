import { SlotkeeperError } from '../../lambda/errors.ts'

/** Ends what has been idle for long, whoever owns it. Holders of advisory locks and sessions that listened last stay. */
export const FREE_SLOTS = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity a WHERE backend_type = 'client backend' AND state = 'idle' AND clock_timestamp() - state_change > interval '5min' AND usename NOT IN (SELECT rolname FROM pg_roles WHERE rolsuper OR rolname LIKE 'rds%') AND query !~* 'listen|backup' AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory');`

/** Who holds the slots. */
export const WHO_HOLDS = `SELECT usename, datname, application_name, client_addr, state, count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC;`

/** Every slot is taken, and this role has no other way in: what to do at once, and what would have let it in. */
export function explainNoWayIn(failure: SlotkeeperError): SlotkeeperError {
  return new SlotkeeperError(
    'exhausted',
    `${failure.message} At once: connect in psql as a superuser (RDS: the master user), whose reserve is still free; see who holds the slots: ${WHO_HOLDS} and end what has been idle for long: ${FREE_SLOTS} Then run the doctor again.`,
    { cause: failure },
  )
}
