import * as v from 'valibot'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

// One row, so that no answer is not taken for no holders. A prepared transaction holds its locks
// under no pid.
const FIND_HOLDERS = `
select array_to_json(array(
  select distinct l.pid from pg_locks l
  where l.locktype = 'advisory' and l.granted and l.pid is not null
)) as holders`

const answerSchema = v.strictTuple([v.strictTuple([v.object({ holders: v.array(v.number()) })])])

/**
 * Finds the server processes that hold an advisory lock, in whatever database. The server goes
 * through the lock table of every connection there may be, which takes it as long as all the rest
 * of a snapshot: only where a verdict hangs on it.
 */
export async function findLockHolders(link: Link, timeoutMs: number): Promise<ReadonlySet<number>> {
  const [[{ holders }]] = readAnswer(answerSchema, await link.query(FIND_HOLDERS, timeoutMs))
  return new Set(holders)
}
