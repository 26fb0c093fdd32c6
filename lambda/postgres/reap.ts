import { DatabaseError } from 'pg'
import * as v from 'valibot'
import type { Outcome } from '../core/report.ts'
import type { ReapVerdict } from '../core/verdict.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { SETTLE_MS, settle } from './settle.ts'
import { arraysOf } from './victims.ts'

/** Allowance for the network, and for the server before the first signal and after the last one, ms. */
const MARGIN_MS = 1_000

/** With less time than this, no session is signalled, ms. */
export const LEAST_REAP_MS = SETTLE_MS + MARGIN_MS

/**
 * A check of a session that takes longer than this was interrupted. It is repeated with twice the time, so
 * that a slow server succeeds in the end. A check goes through the entry of every possible connection, which
 * takes 0.1 us each if nothing interrupts it. An interval has whole microseconds, so the sum is made of
 * numbers.
 */
export const UNINTERRUPTED_CHECK =
  "interval '1 ms' * (0.06 + 0.00015 * current_setting('max_connections')::int)"

const NONE = "'{}'"
const LOCKS = "array(select l.pid from pg_locks l where l.locktype = 'advisory' and l.granted)"
const SLOTS = 'array(select s.active_pid from pg_replication_slots s)'

/**
 * The loop runs inside the server, so that only microseconds pass between the check of a session and its
 * signal. A DO block also runs on a read replica, and needs nothing installed. Its parts, and why they are
 * there:
 * - `pg_stat_clear_snapshot`: within a transaction, the statistics views are frozen.
 * - One statement reads, compares and signals, because each statement of PL/pgSQL takes time.
 * - The order: an outcome belongs to the victim in the same place, and a join has no order of its own. The sort
 *   also reads all numbers of sessions before the loop clears the statistics that they are from.
 * - The wait event: a session that has received its next query still shows `idle` until it begins the query.
 *   `pg_stat_get_backend_wait_event` reads the process itself, not the frozen statistics (pgstatfuncs.c). It
 *   comes last, so only microseconds pass between it and the signal.
 * - The look that is used again: a look reads the entry of every possible connection, so with a look for each victim
 *   the time would grow with the square of the sessions. A young look serves the next victim too. The limit between look
 *   and signal stays the same. If such a look does not lead to a signal or a refusal, a new one decides. A session that is
 *   `active` gets a look of its own, because nothing else shows that its query has ended. If the clock is set back, no look
 *   is young.
 * - The repeated check: if this process lost the processor in the middle of a check, the session could run a
 *   whole transaction meanwhile.
 * - The block with EXCEPTION: without it, one refusal (42501) would end the whole loop.
 * - Advisory locks and replication slots are read once, before the loop, and only if a session could have a
 *   new one. A session that is unchanged and idle began no statement since the snapshot, so it took neither
 *   since then.
 * - `stop_at`, by the server's clock: a server may stall before or in the loop, and go on after the sweep
 *   gave up.
 * After the last signal, no statement can fail and lose the outcomes. The outcomes leave the block as a
 * setting of this transaction, because DO returns nothing. SET and SHOW need no right to any function.
 * `to_timestamp` restores the microseconds exactly until the year 2106.
 * @param victims as `arraysOf` writes them
 * @param stopAtMs by the server's clock, ms since the epoch
 */
const REAP = (victims: string, stopAtMs: number, looksForHolders: boolean) => `
do $slotkeeper$
#variable_conflict error
declare
  stop_at constant timestamptz := to_timestamp(${stopAtMs / 1000});
  check_time constant interval := ${UNINTERRUPTED_CHECK};
  locks constant int[] := ${looksForHolders ? LOCKS : NONE};
  slots constant int[] := ${looksForHolders ? SLOTS : NONE};
  outcomes jsonb[] := '{}';
  outcome jsonb;
  victim record;
  fate text;
  patience interval;
  looked_at timestamptz := '-infinity';
  is_reused boolean;
  detail text;
begin
  for victim in
    select v.pid, k.id, v.state, v.action, v.pid = any(locks) as locks, v.pid = any(slots) as slot,
        to_timestamp(v.backend_start) as backend_start,
        to_timestamp(v.state_change) as state_change
      from unnest(${victims}) with ordinality
        as v(pid, backend_start, state_change, state, action, place)
      left join (
        select b.id, pg_stat_get_backend_pid(b.id) as pid from pg_stat_get_backend_idset() b(id)
      ) k on k.pid = v.pid
      order by v.place
  loop
    outcome := null;
    patience := check_time;
    while outcome is null and clock_timestamp() < stop_at loop
      begin
        is_reused := victim.state <> 'active'
          and clock_timestamp() between looked_at and looked_at + check_time / 2;
        if not is_reused then
          looked_at := clock_timestamp();
          perform pg_stat_clear_snapshot();
        end if;
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
            when clock_timestamp() not between looked_at and looked_at + patience then 'interrupted'
            when case victim.action
                when 'cancel' then pg_cancel_backend(a.pid)
                else pg_terminate_backend(a.pid)
              end then 'reaped'
            else 'gone'
          end
          into fate
          from pg_stat_get_activity(victim.pid) a
          where a.backend_start = victim.backend_start;
        if is_reused and fate is distinct from 'reaped' then
          looked_at := '-infinity';
        elsif fate = 'interrupted' then
          patience := 2 * patience;
          looked_at := '-infinity';
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
 * Ends each session that is still as the snapshot showed it, and checks that it is gone.
 * @param timeoutMs for the whole reap; the signals stop early enough for the outcomes to arrive
 * @param nowMs the server's clock now, ms since the epoch
 * @returns one outcome for each verdict, in their order. If the statement as a whole got no answer, it is not
 *   known which sessions it ended, and the outcomes say so.
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
      throw new SlotkeeperError(
        'query',
        'the server returned outcomes for other sessions than it was asked to end.',
      )
    }
  } catch (error) {
    if (!(error instanceof SlotkeeperError)) throw error
    return verdicts.map(() => inDoubt(error))
  }
  return settle(link, verdicts, outcomes, timeoutMs - (performance.now() - started))
}

/**
 * Whether the session may hold something that the snapshot does not show. An `active` session may take a lock
 * or a slot at any time. For any session, the sweep may not have read the holders.
 */
function mayHoldUnseen({ session }: ReapVerdict): boolean {
  const { state, advisoryLock, replicationSlot } = session
  return state === 'active' || advisoryLock === null || replicationSlot === null
}

/** SQLSTATE 08006 is PostgreSQL's code for a failed connection (connection_failure). */
function inDoubt({ cause, message }: SlotkeeperError): Outcome {
  const sqlstate = (cause instanceof DatabaseError && cause.code) || '08006'
  return {
    outcome: 'refused',
    sqlstate,
    message: `the session may have been ended or not: ${message}`,
  }
}
