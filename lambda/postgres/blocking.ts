import * as v from 'valibot'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

// Selects pids only, so no query text leaves the server. pg_blocking_pids holds up the lock manager for a
// moment, so it is called only for processes that wait. waitstart is NULL for a moment after a wait begins.
const FIND_WAITING = `
select array_to_json(array(
  select json_build_object(
    'pid', l.pid,
    'blockedBy', pg_blocking_pids(l.pid),
    'seconds', extract(epoch from clock_timestamp() - min(l.waitstart))::float8
  )
  from pg_locks l
  where not l.granted and l.pid is not null
  group by l.pid
)) as waiting`

const waitingSchema = v.object({
  pid: v.number(),
  /** 0 means a prepared transaction. */
  blockedBy: v.array(v.number()),
  /** How long it has waited; NULL for a moment after the wait begins. */
  seconds: v.nullable(v.number()),
})
const answerSchema = v.strictTuple([v.strictTuple([v.object({ waiting: v.array(waitingSchema) })])])

/**
 * A server process that waits for a lock, and the processes it waits for: lock holders, and those ahead in
 * the queue.
 */
export type Waiting = v.InferOutput<typeof waitingSchema>

/** Finds the processes that wait for a lock of any kind, in any database. */
export async function findWaiting(link: Link, timeoutMs: number): Promise<Waiting[]> {
  const [[{ waiting }]] = readAnswer(answerSchema, await link.query(FIND_WAITING, timeoutMs))
  return waiting
}
