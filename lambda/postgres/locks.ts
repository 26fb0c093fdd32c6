import * as v from 'valibot'
import type { Holders } from '../core/session.ts'

/**
 * Finds the server processes that hold an advisory lock or a replication slot, in any database. The server
 * goes through the lock entries of every possible connection, which takes as long as all the rest of a
 * snapshot. So a sweep runs this only if a verdict depends on it. The answer is always one row, so that an
 * empty answer is never taken for "no holders". A prepared transaction holds its locks without a pid.
 */
export const FIND_HOLDERS = `
select
  array_to_json(array(
    select distinct l.pid from pg_locks l
    where l.locktype = 'advisory' and l.granted and l.pid is not null
  )) as "advisoryLocks",
  array_to_json(array(
    select s.active_pid from pg_replication_slots s where s.active_pid is not null
  )) as "replicationSlots"`

const pids = v.pipe(
  v.array(v.number()),
  v.transform((all): ReadonlySet<number> => new Set(all)),
)

/** The answer, one row. */
export const holdersSchema = v.strictTuple([
  v.object({ advisoryLocks: pids, replicationSlots: pids }),
]) satisfies v.GenericSchema<unknown, [Holders]>
