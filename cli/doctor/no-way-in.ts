import { SlotkeeperError } from '../../lambda/errors.ts'

/** Ends what has been idle for long, whoever owns it. It spares what a sweep spares, as far as one statement can see it. */
export const FREE_SLOTS = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity a
 WHERE backend_type = 'client backend' AND query !~* 'listen|backup'
   AND state = 'idle' AND clock_timestamp() - state_change > interval '5min'
   AND usename NOT IN (SELECT rolname FROM pg_roles
     WHERE rolsuper OR rolname LIKE 'rds%')
   AND 'advisory' <> ALL (SELECT locktype FROM pg_locks WHERE pid = a.pid)
   AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE active_pid = pid);`

/** Who holds the slots. */
export const WHO_HOLDS = `SELECT usename, datname, application_name, client_addr, state, count(*)
  FROM pg_stat_activity WHERE backend_type = 'client backend'
 GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC;`

const WHERE = 'in psql as a superuser (RDS: the master user), who has slots in reserve'

/** Every slot is taken, and this role has no other way in: what to do at once, in lines to paste. */
export function showNoWayIn(): string {
  const lines = (sql: string) => sql.split('\n').map((line) => `  ${line}`)
  return [
    `Now, ${WHERE}:`,
    'See who holds the slots:',
    ...lines(WHO_HOLDS),
    'End what has been idle for over 5 minutes (not listeners or holders of locks):',
    ...lines(FREE_SLOTS),
    'Then run the doctor again.',
  ].join('\n')
}

/** The same in one error, for a program. */
export function explainNoWayIn(failure: SlotkeeperError): SlotkeeperError {
  const inOneLine = (sql: string) => sql.replaceAll(/\s+/g, ' ')
  return new SlotkeeperError(
    'exhausted',
    `${failure.message} Now, ${WHERE}: see who holds the slots: ${inOneLine(WHO_HOLDS)} and end what has been idle for over 5 minutes: ${inOneLine(FREE_SLOTS)} Then run the doctor again.`,
    { cause: failure },
  )
}
