import * as v from 'valibot'
import type { Session } from '../../lambda/core/session.ts'
import { readAnswer } from '../../lambda/postgres/answer.ts'
import type { Link } from '../../lambda/postgres/connect.ts'
import { epoch } from '../../lambda/postgres/instants.ts'
import { FORM_NAMES, type Form, formOf } from './last-query.ts'

/**
 * A driver sends its own settings at once after the login. The login itself counts too: a client may be slow to
 * prove its password.
 */
const SET_UP_SECONDS = 5

// The server writes the state `idle` when the login is done. So a session without a query has an empty query
// text, and has been idle since it logged in. An empty query such as lib/pq's ping looks the same, but comes later.
const READ_TRACES = `
select
  a.pid,
  ${epoch('a.backend_start')}::text as "backendStart",
  ${formOf('a.query')} as form,
  coalesce(
    a.state = 'idle'
      and a.query ~* '^\\s*$|^\\s*(set|show)\\M'
      and extract(epoch from a.state_change) - extract(epoch from a.backend_start) < ${SET_UP_SECONDS},
    false
  ) as "neverUsed",
  coalesce(a.wait_event_type = 'Lock', false) as "waitsForLock"
from pg_stat_get_activity(null) a
where case a.backend_type when 'client backend' then true end`

const traceSchema = v.object({
  pid: v.number(),
  backendStart: v.string(),
  form: v.picklist(FORM_NAMES),
  neverUsed: v.boolean(),
  waitsForLock: v.boolean(),
})

/** What a session did last, beyond its state. */
export type Trace = {
  form: Form
  /** It ran no query since it logged in, except the settings of its driver. */
  neverUsed: boolean
  waitsForLock: boolean
}

/** The traces of sessions, by `identityOf` of the session. */
export type Traces = ReadonlyMap<string, Trace>

const answerSchema = v.strictTuple([v.array(traceSchema)])

/** Reads what each session did last. Sessions come and go between this and a snapshot. */
export async function readTraces(link: Link, timeoutMs: number): Promise<Traces> {
  const [rows] = readAnswer(answerSchema, await link.query(READ_TRACES, timeoutMs))
  return new Map(rows.map((row) => [keyOf(row), row]))
}

function keyOf({ pid, backendStart }: Pick<Session, 'pid' | 'backendStart'>): string {
  return `${pid} ${backendStart}`
}
