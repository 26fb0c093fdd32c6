import { DatabaseError } from 'pg'
import * as v from 'valibot'
import type { Holders } from '../core/session.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { FIND_HOLDERS, holdersSchema } from './locks.ts'
import { explainRefusal, FIND_MISSING, lacking, missingSchema } from './rights.ts'

/**
 * Everything that must be known before the first session is ended, in one message: whether PL/pgSQL runs at
 * all, which rights the role lacks, and which sessions hold something that would be lost with them.
 */
const LOOK_AHEAD = `do $slotkeeper$ begin end $slotkeeper$; ${FIND_MISSING}; ${FIND_HOLDERS}`

const answerSchema = v.strictTuple([v.array(v.unknown()), missingSchema, holdersSchema])

/**
 * Checks everything that a reap needs. Mode `observe` checks it too, so it reports from the first day on what
 * would make a reap fail.
 * @throws SlotkeeperError of kind `rights` that names each missing grant; no session was ended then
 */
export async function preflight(link: Link, timeoutMs: number): Promise<Holders> {
  let answer: unknown
  try {
    answer = await link.query(LOOK_AHEAD, timeoutMs)
  } catch (error) {
    throw withoutLibrary(error) ?? (await explainRefusal(link, error, timeoutMs))
  }
  const [, missing, [holders]] = readAnswer(answerSchema, answer)
  if (missing.length > 0) throw lacking(link.role, missing)
  return holders
}

/** From PostgreSQL 18 on, a `dynamic_library_path` without `$libdir` hides PL/pgSQL too (dfmgr.c). */
function withoutLibrary(error: unknown): SlotkeeperError | undefined {
  if (!(error instanceof SlotkeeperError && error.cause instanceof DatabaseError)) return undefined
  if (error.cause.code !== '58P01') return undefined
  return new SlotkeeperError(
    'query',
    `PL/pgSQL can't be loaded, so nothing was ended: ${error.message} If dynamic_library_path is set for the role or the database, add $libdir to it.`,
    { cause: error },
  )
}
