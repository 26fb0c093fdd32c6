import { escapeIdentifier } from 'pg'
import * as v from 'valibot'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { readAnswer } from '../../lambda/postgres/answer.ts'
import type { Link } from '../../lambda/postgres/connect.ts'
import { deadlineIn, type Gate } from '../../lambda/postgres/gate.ts'
import { nameBytes, readName } from '../../lambda/postgres/names.ts'
import {
  FIND_MISSING,
  grantorOfSight,
  grantUsable,
  missingSchema,
} from '../../lambda/postgres/rights.ts'
import { RESERVED } from '../../lambda/postgres/snapshot.ts'
import type { Diagnosis, Finding, PlanOption } from './diagnosis.ts'
import { OPTIONS } from './diagnosis.ts'

/**
 * What any role may see: whose sessions there are, in which database, by which name. Not what they do, since when, or
 * from where. A row with a role and a database is a client, or a walsender for a database.
 */
const READ_NAMES = `
select
  current_setting('server_version_num')::int as "serverVersion",
  current_setting('server_encoding') as encoding,
  to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at,
  current_setting('max_connections')::int as max,
  ${RESERVED} as reserved,
  pg_has_role('pg_read_all_stats', 'member') as "isMember",
  pg_has_role('pg_monitor', 'member') as "isMonitor",
  coalesce((select rolinherit from pg_roles where rolname = session_user), true) as inherits;
select
  ${nameBytes('a.usename')} as user,
  ${nameBytes('a.datname')} as database,
  a.application_name as application,
  count(*)::int as sessions
from pg_stat_activity a
where a.usename is not null and a.datname is not null and a.pid <> pg_backend_pid()
group by 1, 2, 3
order by 4 desc`

const namesSchema = v.strictTuple([
  v.strictTuple([
    v.object({
      serverVersion: v.number(),
      encoding: v.string(),
      at: v.string(),
      max: v.number(),
      reserved: v.number(),
      isMember: v.boolean(),
      isMonitor: v.boolean(),
      inherits: v.boolean(),
    }),
  ]),
  v.array(
    v.object({
      user: v.string(),
      database: v.string(),
      application: v.string(),
      sessions: v.number(),
    }),
  ),
])

const LOOK_MS = 15_000
const QUERY_MS = 5_000

/**
 * What can be said where the role sees no session of others, or may not run what a look needs.
 * @param failure why the look failed; of kind `blind` or `rights`
 * @throws the failure itself if not even the names can be read
 */
export async function diagnoseBlindly(
  gate: Gate,
  target: string,
  failure: SlotkeeperError,
): Promise<Diagnosis> {
  const link = await gate.open(deadlineIn(LOOK_MS))
  try {
    const answer = await link.query(READ_NAMES, QUERY_MS)
    const [[head], rows] = readAnswer(namesSchema, answer)
    const pools = rows.map((row) => ({
      user: readName(row.user, head.encoding),
      database: readName(row.database, head.encoding),
      application: row.application,
      client: 'not visible',
      sessions: row.sessions,
      ...UNSEEN,
    }))
    const used = pools.reduce((sum, { sessions }) => sum + sessions, 1)
    const usable = head.max - head.reserved
    const usedPercent = usable > 0 ? Math.round((used / usable) * 1000) / 10 : 100
    const slots = {
      max: head.max,
      reserved: head.reserved,
      used,
      available: Math.max(0, usable - used),
      usedPercent,
    }
    const grants =
      failure.kind === 'blind'
        ? [grantUsable(grantorOfSight(head), { role: link.role, ...head })]
        : await findGrants(link)
    return {
      target,
      at: head.at,
      watchedSeconds: 0,
      server: { version: head.serverVersion, kind: 'community' },
      slots,
      pools,
      findings: [...sayFull(slots, gate.metFullServer(), pools[0]), sayBlind(link.role, grants)],
      plan: PLAN,
    }
  } catch (error) {
    throw error instanceof SlotkeeperError && error.kind === 'query' ? failure : error
  } finally {
    await link.close()
  }
}

const UNSEEN = {
  busy: null,
  peakBusy: null,
  idleInTransaction: null,
  oldestIdleSeconds: null,
  neverUsed: null,
  openedPerMinute: null,
}

const PLAN: PlanOption[] = OPTIONS.map((option) => ({
  option,
  take: false,
  why: "not known: this role can't see what the sessions do. Run the GRANT first",
  numbers: {},
}))

async function findGrants(link: Link): Promise<string[]> {
  const answer = readAnswer(
    v.strictTuple([missingSchema]),
    await link.query(FIND_MISSING, QUERY_MS),
  )
  return answer[0].map((right) => `GRANT ${right} TO ${escapeIdentifier(link.role)};`)
}

function sayBlind(role: string, grants: string[]): Finding {
  return {
    id: 'blind',
    severity: 'critical',
    title: `Role ${role} can't see what the sessions of others do: only their names are counted here`,
    evidence: { role, missing: grants },
    remedies: [
      {
        kind: 'sql',
        text: grants.join('\n'),
        why: 'As an administrator (on RDS: the master user). Then run the doctor again.',
      },
    ],
  }
}

function sayFull(
  { used, max, reserved, usedPercent, available }: Diagnosis['slots'],
  refused: boolean,
  largest: Diagnosis['pools'][number] | undefined,
): Finding[] {
  const isFull = refused || available === 0
  if (!isFull && usedPercent <= 80) return []
  const usable = max - reserved
  const most = largest
    ? `: ${largest.user}@${largest.database} "${largest.application}" holds ${largest.sessions}`
    : ''
  return [
    {
      id: isFull ? 'full' : 'nearly-full',
      severity: isFull ? 'critical' : 'warning',
      title: `${isFull ? 'No slot is free' : `${available} slots left`} of ${usable}${most}`,
      evidence: { used, usable, reserved, available, usedPercent },
      remedies: [],
    },
  ]
}
