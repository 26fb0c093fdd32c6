import * as v from 'valibot'
import type { Holders } from '../core/session.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { explainRefusal } from './rights.ts'

/**
 * Finds the server processes that hold an advisory lock or a replication slot, in any database. The server
 * goes through the lock entries of every possible connection, which takes as long as all the rest of a
 * snapshot. So a sweep runs this only if a verdict depends on it, or if it records. The answer is always one
 * row, so that an empty answer is never taken for "no holders". A prepared transaction holds its locks without
 * a pid.
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

/**
 * Reads the holders, and nothing else that a reap would need.
 * @throws SlotkeeperError; of kind `rights` if a grant is missing
 */
export async function readHolders(link: Link, timeoutMs: number): Promise<Holders> {
  try {
    const [[holders]] = readAnswer(answerSchema, await link.query(FIND_HOLDERS, timeoutMs))
    return holders
  } catch (error) {
    throw await explainRefusal(link, error, timeoutMs)
  }
}

const answerSchema = v.strictTuple([holdersSchema])
