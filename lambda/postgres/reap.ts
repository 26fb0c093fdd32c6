import { DatabaseError } from 'pg'
import * as v from 'valibot'
import type { Outcome } from '../core/report.ts'
import type { ReapVerdict } from '../core/verdict.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { SETTLE_MS, settle } from './settle.ts'
import { arraysOf } from './victims.ts'

/** Spent by the server on the first and the last statement, and on the way, ms. */
const MARGIN_MS = 1_000

/** In less time nobody is signalled, ms. */
export const LEAST_REAP_MS = SETTLE_MS + MARGIN_MS

/**
 * A look that took longer than this was interrupted, and is taken again with twice the time, ms, so
 * that a slow server gets its turn. It goes through the entry of every connection there may be,
 * 0.1 us each where nothing disturbs it.
 */
const UNINTERRUPTED_LOOK_MS = 0.06
const UNINTERRUPTED_LOOK_MS_PER_SLOT = 0.00015

const NONE = "'{}'"
const LOCKS = "array(select l.pid from pg_locks l where l.locktype = 'advisory' and l.granted)"
const SLOTS = 'array(select s.active_pid from pg_replication_slots s)'

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
 * - advisory locks and replication slots are read once, before the loop, and only where one could be new: a
 *   session that is found unchanged and idle began no statement since the snapshot, so it took none since;
 * - an instant of the server's clock at which it stops, for a server that stalls before the loop or in
 *   it, and wakes after the sweep gave up.
 * Nothing follows the last signal that could fail and take the outcomes along. They leave the block as a
 * setting of this one transaction, since DO returns nothing; SET and SHOW need no right to any function.
 * `to_timestamp` gives the microseconds back exactly until the year 2106.
 */
const REAP = (victims: string, stopAtMs: number, looksForHolders: boolean) => `
do $slotkeeper$
#variable_conflict error
declare
  stop_at constant timestamptz := to_timestamp(${stopAtMs / 1000});
  look_time constant interval := interval '${UNINTERRUPTED_LOOK_MS} ms'
    + interval '${UNINTERRUPTED_LOOK_MS_PER_SLOT} ms' * current_setting('max_connections')::int;
  locks constant int[] := ${looksForHolders ? LOCKS : NONE};
  slots constant int[] := ${looksForHolders ? SLOTS : NONE};
  outcomes jsonb[] := '{}';
  outcome jsonb;
  victim record;
  fate text;
  patience interval;
  looked_at timestamptz;
  detail text;
begin
  for victim in
    select v.pid, k.id, v.state, v.action, v.pid = any(locks) as locks, v.pid = any(slots) as slot,
        to_timestamp(v.backend_start) as backend_start,
        to_timestamp(v.state_change) as state_change
      from unnest(${victims}) as v(pid, backend_start, state_change, state, action)
      left join (
        select b.id, pg_stat_get_backend_pid(b.id) as pid from pg_stat_get_backend_idset() b(id)
      ) k on k.pid = v.pid
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
            when victim.slot then 'replicationSlot'
            when victim.state <> 'active'
              and case
                  when pg_stat_get_backend_pid(victim.id) = a.pid
                    then pg_stat_get_backend_wait_event(victim.id)
                  else (
                    select pg_stat_get_backend_wait_event(b.id)
                      from pg_stat_get_backend_idset() b(id)
                      where pg_stat_get_backend_pid(b.id) = a.pid
                  )
                end is distinct from 'ClientRead'
              then 'changed'
            when clock_timestamp() > looked_at + patience then 'interrupted'
            when case victim.action
                when 'cancel' then pg_cancel_backend(a.pid)
                else pg_terminate_backend(a.pid)
              end then 'reaped'
            else 'gone'
          end
          into fate
          from pg_stat_get_activity(victim.pid) a
          where a.backend_start = victim.backend_start;
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
  execute 'set local slotkeeper.outcomes to ' || quote_literal(array_to_json(outcomes));
end
$slotkeeper$;
show slotkeeper.outcomes`
const outcomeSchema = v.union([
  v.object({
    outcome: v.picklist([
      'reaped',
      'changed',
      'gone',
      'advisoryLock',
      'replicationSlot',
      'unsignalled',
    ]),
  }),
  v.object({ outcome: v.literal('refused'), sqlstate: v.string(), message: v.string() }),
])
const outcomesText = v.pipe(v.string(), v.parseJson(), v.array(outcomeSchema))
const reapedSchema = v.strictTuple([
  v.array(v.unknown()),
  v.strictTuple([v.object({ 'slotkeeper.outcomes': outcomesText })]),
])
/**
 * Ends each session that still is what the snapshot showed, and looks whether it is gone.
 * @param timeoutMs for all of it; signalling stops early enough to tell what was done
 * @param nowMs by the server's clock, ms since the epoch
 * @returns one outcome for each verdict, in their order. Where the statement as a whole got no
 *   answer nobody knows which sessions it ended, and that is what the outcomes say.
 */
export async function reap(
  link: Link,
  verdicts: ReapVerdict[],
  timeoutMs: number,
  nowMs: number,
): Promise<Outcome[]> {
  const started = performance.now()
  const stopAtMs = nowMs + timeoutMs - LEAST_REAP_MS
  const sql = REAP(arraysOf(verdicts), stopAtMs, verdicts.some(mayHoldUnseen))
  let outcomes: Outcome[]
  try {
    const answer = readAnswer(reapedSchema, await link.query(sql, timeoutMs))
    outcomes = answer[1][0]['slotkeeper.outcomes']
    if (outcomes.length !== verdicts.length) {
      throw new SlotkeeperError('query', 'the server told of other sessions than it was asked for.')
    }
  } catch (error) {
    if (!(error instanceof SlotkeeperError)) throw error
    return verdicts.map(() => inDoubt(error))
  }
  return settle(link, verdicts, outcomes, timeoutMs - (performance.now() - started))
}

/** An `active` session may take a lock or a slot at any time, and the snapshot may not have looked for any. */
function mayHoldUnseen({ session }: ReapVerdict): boolean {
  const { state, advisoryLock, replicationSlot } = session
  return state === 'active' || advisoryLock === null || replicationSlot === null
}

/** SQLSTATE 08006 is PostgreSQL's own for a connection that failed. */
function inDoubt({ cause, message }: SlotkeeperError): Outcome {
  const sqlstate = (cause instanceof DatabaseError && cause.code) || '08006'
  return { outcome: 'refused', sqlstate, message: `it may have been ended or not: ${message}` }
}
