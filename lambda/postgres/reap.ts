import { escapeLiteral } from 'pg'
import type { Outcome } from '../core/report.ts'
import type { ReapVerdict } from '../core/verdicts.ts'
import type { Link } from './connect.ts'

/** How long a signalled session may take to be gone before it is reported as still there, ms. */
const SETTLE_MS = 3_000
/** Spent by the server on the first and the last statement, and on the way, ms. */
const MARGIN_MS = 1_000

/**
 * A loop inside the server, so that only microseconds lie between the look at a session and its
 * signal. A DO block also runs on a read replica and needs nothing installed. Within:
 * - `pg_stat_clear_snapshot`, because the statistics views are frozen for a transaction;
 * - the block with EXCEPTION, because a refusal (42501) would end the whole loop;
 * - advisory locks are read once, before the loop: a session found unchanged began no statement
 *   since the snapshot, so unless it is `active` it took no lock since;
 * - a deadline by the server's clock, for a server that stalls and wakes after the sweep gave up.
 * `victims` and the outcomes travel as settings of this one transaction: DO takes no parameters.
 */
const REAP = (victims: string, signalMs: number) => `
select set_config('slotkeeper.victims', ${victims}, true);
do $slotkeeper$
declare
  stop_at constant timestamptz := clock_timestamp() + interval '${signalMs} ms';
  holders constant int[] :=
    array(select l.pid from pg_locks l where l.locktype = 'advisory' and l.granted);
  victims constant jsonb := current_setting('slotkeeper.victims');
  outcomes jsonb[] := '{}';
  outcome jsonb;
  victim record;
  seen record;
  settled_by timestamptz;
  present int[];
  detail text;
begin
  for victim in
    select * from jsonb_to_recordset(victims)
      as v(pid int, "backendStart" text, state text, "stateChange" text, action text)
  loop
    if clock_timestamp() >= stop_at then
      outcomes := outcomes || '{"outcome": "unsignalled"}'::jsonb;
      continue;
    end if;
    begin
      perform pg_stat_clear_snapshot();
      select a.state, extract(epoch from a.state_change)::text as state_change into seen
        from pg_stat_get_activity(victim.pid) a
        where extract(epoch from a.backend_start)::text = victim."backendStart";
      if not found then
        outcome := '{"outcome": "gone"}';
      elsif seen.state is distinct from victim.state
        or seen.state_change is distinct from victim."stateChange" then
        outcome := '{"outcome": "changed"}';
      elsif victim.pid = any(holders) then
        outcome := '{"outcome": "advisoryLock"}';
      elsif (
        case victim.action
          when 'cancel' then pg_cancel_backend(victim.pid)
          else pg_terminate_backend(victim.pid)
        end
      ) then
        outcome := '{"outcome": "reaped"}';
      else
        outcome := '{"outcome": "gone"}';
      end if;
    exception when others then
      get stacked diagnostics detail = pg_exception_detail;
      outcome := jsonb_build_object('outcome', 'refused', 'sqlstate', sqlstate,
        'message', concat_ws(': ', sqlerrm, nullif(detail, '')));
    end;
    outcomes := outcomes || outcome;
  end loop;

  settled_by := clock_timestamp() + interval '${SETTLE_MS} ms';
  loop
    perform pg_stat_clear_snapshot();
    present := array(
      select v.number::int
        from rows from (
          jsonb_to_recordset(victims)
            as (pid int, "backendStart" text, state text, "stateChange" text, action text)
        ) with ordinality as v(pid, backend_start, state, state_change, action, number)
        join pg_stat_get_activity(null) a
          on a.pid = v.pid and extract(epoch from a.backend_start)::text = v.backend_start
        where outcomes[v.number] ->> 'outcome' = 'reaped'
          and (v.action <> 'cancel' or extract(epoch from a.state_change)::text = v.state_change)
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

/**
 * Ends each session that still is what the snapshot showed, and looks whether it is gone.
 * @param timeoutMs for all of it; signalling stops early enough to tell what was done
 * @returns one outcome for each verdict, in their order
 * @throws SlotkeeperError where the statement as a whole failed: then it is not known who was ended
 */
export async function reap(
  link: Link,
  verdicts: ReapVerdict[],
  timeoutMs: number,
): Promise<Outcome[]> {
  if (verdicts.length === 0) return []
  const victims = verdicts.map(({ session, action }) => ({
    pid: session.pid,
    backendStart: session.backendStart,
    state: session.state,
    stateChange: session.stateChange,
    action,
  }))
  const signalMs = Math.max(0, timeoutMs - SETTLE_MS - MARGIN_MS)
  const results = await link.query(
    REAP(escapeLiteral(JSON.stringify(victims)), signalMs),
    timeoutMs,
  )
  return results.at(-1)?.[0]?.outcomes as Outcome[]
}
