import * as v from 'valibot'
import type { Holders } from '../core/session.ts'

/**
 * The server processes that hold an advisory lock or a replication slot, in whatever database. The server goes
 * through the lock table of every connection there may be, which takes it as long as all the rest of a
 * snapshot: only where a verdict hangs on it. It is one row, so that no answer is not taken for no holders. A
 * prepared transaction holds its locks under no pid.
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
