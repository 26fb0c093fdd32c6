import * as v from 'valibot'
import { readAnswer } from '../../lambda/postgres/answer.ts'
import type { Link } from '../../lambda/postgres/connect.ts'
import { nameBytes, readName } from '../../lambda/postgres/names.ts'

// What PostgreSQL has gathered for each database since its statistics were last reset (14 and later). From 15 on
// `stats_reset` is NULL until the first reset.
const READ_COUNTERS = `
select
  current_setting('server_encoding') as encoding,
  extract(epoch from clock_timestamp())::float8 as at
;
select
  ${nameBytes('d.datname')} as database,
  d.sessions::float8 as sessions,
  d.sessions_abandoned::float8 as abandoned,
  d.sessions_fatal::float8 as fatal,
  d.sessions_killed::float8 as killed,
  d.active_time / 1000 as "activeSeconds",
  d.session_time / 1000 as "sessionSeconds",
  extract(epoch from d.stats_reset)::float8 as "resetAt"
from pg_stat_database d
where d.datname is not null`

const countersSchema = v.object({
  database: v.string(),
  /** Sessions opened. */
  sessions: v.number(),
  /** Sessions whose client went away without a goodbye. */
  abandoned: v.number(),
  /** Sessions that a fatal error ended. */
  fatal: v.number(),
  /** Sessions that were ended by pg_terminate_backend. */
  killed: v.number(),
  /** The time that sessions spent running statements. A statement counts when it ends. */
  activeSeconds: v.number(),
  sessionSeconds: v.number(),
  /** Seconds since the epoch; NULL if the statistics were never reset. */
  resetAt: v.nullable(v.number()),
})

/** What the statistics of one database have counted. */
export type Counters = v.InferOutput<typeof countersSchema>

const answerSchema = v.strictTuple([
  v.strictTuple([v.object({ encoding: v.string(), at: v.number() })]),
  v.array(countersSchema),
])

export async function readCounters(link: Link, timeoutMs: number): Promise<Counters[]> {
  const answer = readAnswer(answerSchema, await link.query(READ_COUNTERS, timeoutMs))
  const [[{ encoding }], rows] = answer
  return rows.map((row) => ({ ...row, database: readName(row.database, encoding) }))
}
