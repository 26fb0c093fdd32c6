import { DatabaseError, escapeLiteral } from 'pg'
import * as v from 'valibot'
import type { Outcome } from '../core/report.ts'
import type { ReapVerdict } from '../core/verdicts.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

/** How long a signalled session may take to be gone before it is reported as still there, ms. */
const SETTLE_MS = 3_000
/** Spent by the server on the first and the last statement, and on the way, ms. */
const MARGIN_MS = 1_000

/** In less time nobody is signalled, ms. */
export const LEAST_REAP_MS = SETTLE_MS + MARGIN_MS

/**
 * A look that took longer than this was interrupted, and is taken again with twice the time, ms, so
 * that a slow server gets its turn. It goes through the entry of every connection there may be,
 * 0.1 us each where nothing disturbs it.
 */
const LOOK_MS = 0.06
const LOOK_MS_PER_SLOT = 0.00015

/**
 * A loop inside the server, so that only microseconds lie between the look at a session and its
 * signal. A DO block also runs on a read replica and needs nothing installed. Within:
 * - `pg_stat_clear_snapshot`, because the statistics views are frozen for a transaction;
 * - look, comparison and signal in one statement, because each statement of PL/pgSQL takes its time;
 * - the wait event, because a session that has received its next query says `idle` until it begins
 *   it. This function reads it from the process itself, not from the look (pgstatfuncs.c), and last:
 *   what is left until the signal are microseconds;
 * - the look is taken again where this process was not on the processor in the middle of it: a
 *   session can do a whole transaction meanwhile;
 * - the block with EXCEPTION, because a refusal (42501) would end the whole loop;
 * - advisory locks are read once, before the loop: a session found unchanged began no statement
 *   since the snapshot, so unless it is `active` it took no lock since;
 * - an instant of the server's clock at which it stops, for a server that stalls before the loop or in
 *   it, and wakes after the sweep gave up.
 * `victims` and the outcomes travel as settings of this one transaction: DO takes no parameters.
 * `to_timestamp` gives the microseconds back exactly until the year 2106.
 */
const REAP = (victims: string, stopAtMs: number) => `
select set_config('slotkeeper.victims', ${victims}, true);
do $slotkeeper$
declare
  stop_at constant timestamptz := to_timestamp(${stopAtMs / 1000});
  look_time constant interval := interval '${LOOK_MS} ms'
    + interval '${LOOK_MS_PER_SLOT} ms' * current_setting('max_connections')::int;
  holders constant int[] :=
    array(select l.pid from pg_locks l where l.locktype = 'advisory' and l.granted);
  victims constant jsonb := current_setting('slotkeeper.victims');
  outcomes jsonb[] := '{}';
  outcome jsonb;
  victim record;
  fate text;
  patience interval;
  looked_at timestamptz;
  settled_by timestamptz;
  present int[];
  detail text;
begin
  for victim in
    select v.pid, v.state, v.action, v.pid = any(holders) as locks,
        to_timestamp(v."backendStart") as backend_start,
        to_timestamp(v."stateChange") as state_change
      from jsonb_to_recordset(victims)
        as v(pid int, "backendStart" float8, state text, "stateChange" float8, action text)
  loop
    outcome := null;
    patience := look_time;
    while outcome is null and clock_timestamp() < stop_at loop
      begin
        looked_at := clock_timestamp();
        perform pg_stat_clear_snapshot();
        select
          case
            when a.state is distinct from victim.state
              or a.state_change is distinct from victim.state_change
              then 'changed'
            when victim.locks then 'advisoryLock'
            when victim.state <> 'active'
              and pg_stat_get_backend_wait_event(backend.id) is distinct from 'ClientRead'
              then 'changed'
            when clock_timestamp() > looked_at + patience then 'interrupted'
            when case victim.action
                when 'cancel' then pg_cancel_backend(a.pid)
                else pg_terminate_backend(a.pid)
              end then 'reaped'
            else 'gone'
          end
          into fate
          from pg_stat_get_activity(victim.pid) a, pg_stat_get_backend_idset() as backend(id)
          where a.backend_start = victim.backend_start
            and pg_stat_get_backend_pid(backend.id) = a.pid;
        if fate = 'interrupted' then
          patience := 2 * patience;
        else
          outcome := jsonb_build_object('outcome', coalesce(fate, 'gone'));
        end if;
      exception when others then
        get stacked diagnostics detail = pg_exception_detail;
        outcome := jsonb_build_object('outcome', 'refused', 'sqlstate', sqlstate,
          'message', concat_ws(': ', sqlerrm, nullif(detail, '')));
      end;
    end loop;
    outcomes := outcomes || coalesce(outcome, '{"outcome": "unsignalled"}');
  end loop;

  settled_by := clock_timestamp() + interval '${SETTLE_MS} ms';
  loop
    perform pg_stat_clear_snapshot();
    present := array(
      select v.number::int
        from rows from (
          jsonb_to_recordset(victims)
            as (pid int, "backendStart" float8, state text, "stateChange" float8, action text)
        ) with ordinality as v(pid, backend_start, state, state_change, action, number)
        join pg_stat_get_activity(null) a
          on a.pid = v.pid and a.backend_start = to_timestamp(v.backend_start)
        where outcomes[v.number] ->> 'outcome' = 'reaped'
          and (v.action <> 'cancel' or a.state_change = to_timestamp(v.state_change))
    );
    exit when present = '{}' or clock_timestamp() >= settled_by;
    perform pg_sleep(0.005);
  end loop;
  for i in 1 .. cardinality(present) loop
    outcomes[present[i]] := '{"outcome": "refused", "sqlstate": "00000", "message":
      "the signal was accepted, but the session is still there ${SETTLE_MS / 1000} s later"}';
  end loop;
  perform set_config('slotkeeper.outcomes', array_to_json(outcomes)::text, true);
end
$slotkeeper$;
select current_setting('slotkeeper.outcomes')::json as outcomes`

const outcomeSchema = v.union([
  v.object({
    outcome: v.picklist(['reaped', 'changed', 'gone', 'advisoryLock', 'unsignalled']),
  }),
  v.object({ outcome: v.literal('refused'), sqlstate: v.string(), message: v.string() }),
])
const nothing = v.array(v.unknown())
const answerSchema = v.strictTuple([
  nothing,
  nothing,
  v.strictTuple([v.object({ outcomes: v.array(outcomeSchema) })]),
])

/**
 * Ends each session that still is what the snapshot showed, and looks whether it is gone.
 * @param timeoutMs for all of it; signalling stops early enough to tell what was done
 * @param nowMs by the server's clock, ms since the epoch
 * @returns one outcome for each verdict, in their order. Where the statement as a whole got no
 *   answer nobody knows whom it ended, and that is what the outcomes say.
 */
export async function reap(
  link: Link,
  verdicts: ReapVerdict[],
  timeoutMs: number,
  nowMs: number,
): Promise<Outcome[]> {
  const victims = verdicts.map(({ session, action }) => ({
    pid: session.pid,
    backendStart: session.backendStart,
    state: session.state,
    stateChange: session.stateChange,
    action,
  }))
  const stopAtMs = nowMs + timeoutMs - LEAST_REAP_MS
  const sql = REAP(escapeLiteral(JSON.stringify(victims)), stopAtMs)
  try {
    const [, , [{ outcomes }]] = readAnswer(answerSchema, await link.query(sql, timeoutMs))
    if (outcomes.length === verdicts.length) return outcomes
    throw new SlotkeeperError('query', 'the server told of other sessions than it was asked for.')
  } catch (error) {
    if (!(error instanceof SlotkeeperError)) throw error
    return verdicts.map(() => unknown(error))
  }
}

/** SQLSTATE 08006 is PostgreSQL's own for a connection that failed. */
function unknown({ cause, message }: SlotkeeperError): Outcome {
  const sqlstate = (cause instanceof DatabaseError && cause.code) || '08006'
  return { outcome: 'refused', sqlstate, message: `it may have been ended or not: ${message}` }
}
