import * as v from 'valibot'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

// By pids alone: no query text leaves the server. pg_blocking_pids holds up the lock manager for a
// moment, so it is asked for those who wait and nobody else. waitstart is empty for that moment.
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
  /** 0 stands for a prepared transaction. */
  blockedBy: v.array(v.number()),
  seconds: v.nullable(v.number()),
})
const answerSchema = v.strictTuple([v.strictTuple([v.object({ waiting: v.array(waitingSchema) })])])

/** A server process that waits for a lock, and whom it waits for: holders, and those before it. */
export type Waiting = v.InferOutput<typeof waitingSchema>

/** Finds who waits for a lock of whatever kind, in whatever database. */
export async function findWaiting(link: Link, timeoutMs: number): Promise<Waiting[]> {
  const [[{ waiting }]] = readAnswer(answerSchema, await link.query(FIND_WAITING, timeoutMs))
  return waiting
}
