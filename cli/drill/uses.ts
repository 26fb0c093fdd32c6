import { escapeLiteral } from 'pg'
import * as v from 'valibot'
import { readAnswer } from '../../lambda/postgres/answer.ts'
import type { Link } from '../../lambda/postgres/connect.ts'
import { epoch } from '../../lambda/postgres/instants.ts'
import { CLIENT_LIBRARIES } from '../clients.ts'

/** What a drill wants to know of a session besides what a snapshot has. */
export type Use = {
  pid: number
  /** As `Session.backendStart`: seconds since the epoch, as text. */
  backendStart: string
  /** When its last query began, seconds since the epoch. NULL: it ran no query since it connected. */
  usedAt: number | null
  /** The `id` of the library that its name or the form of its last query shows. */
  library: string | null
}

const signs = CLIENT_LIBRARIES.flatMap(({ id, signs: { application, query } }) => [
  ...(application === undefined ? [] : [sign('a.application_name', application, id)]),
  ...(query === undefined ? [] : [sign('a.query', query, id)]),
])

function sign(column: string, pattern: string, id: string): string {
  return `when ${column} ~* ${escapeLiteral(pattern)} then ${escapeLiteral(id)}`
}

/** The server looks at the queries, so their texts stay there. */
const FIND_USES = `
select
  a.pid,
  ${epoch('a.backend_start')}::text as "backendStart",
  extract(epoch from a.query_start)::float8 as "usedAt",
  case ${signs.join('\n    ')} end as library
from pg_stat_get_activity(null) a
where case a.backend_type when 'client backend' then true end`

const usesSchema = v.strictTuple([
  v.array(
    v.object({
      pid: v.number(),
      backendStart: v.string(),
      usedAt: v.nullable(v.number()),
      library: v.nullable(v.string()),
    }),
  ),
])

export async function findUses(link: Link, timeoutMs: number): Promise<Use[]> {
  const [uses] = readAnswer(usesSchema, await link.query(FIND_USES, timeoutMs))
  return uses
}
