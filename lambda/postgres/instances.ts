import { DatabaseError, escapeIdentifier } from 'pg'
import * as v from 'valibot'
import { isInstanceId } from '../core/cluster-host.ts'
import { type Instance, presentInstances } from '../core/instances.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

/** Aurora allows 16 instances. One PutMetricData request has room for the metrics of this number. */
const MOST_INSTANCES = 50

/**
 * Every instance of an Aurora cluster knows all of them.
 * @see https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora_replica_status.html
 */
const FIND_INSTANCES = `
select
  extract(epoch from clock_timestamp())::float8 as at,
  lower(s.server_id) as id,
  coalesce(s.session_id = 'MASTER_SESSION_ID', false) as "isWriter",
  extract(epoch from clock_timestamp() - s.last_update_timestamp)::float8 as "silentSeconds"
from aurora_replica_status() s`

/** The identifier becomes a part of a host name, to which the sweep sends its password. */
const rowSchema = v.object({
  at: v.pipe(v.number(), v.finite()),
  id: v.pipe(v.string(), v.check(isInstanceId)),
  isWriter: v.boolean(),
  silentSeconds: v.nullable(v.pipe(v.number(), v.finite())),
})

const listSchema = v.strictTuple([
  v.pipe(v.array(rowSchema), v.minLength(1), v.maxLength(MOST_INSTANCES)),
])

/** The instances of a cluster at one moment. */
export type InstanceList = {
  /** By the clock of the instance that answered, ms since the epoch. */
  atMs: number
  instances: Instance[]
}

/**
 * Asks one instance of an Aurora cluster for all of them.
 * @throws SlotkeeperError of kind `forbidden` if the server is not Aurora, of kind `rights` if the role may not ask
 */
export async function findInstances(link: Link, timeoutMs: number): Promise<InstanceList> {
  let answer: unknown
  try {
    answer = await link.query(FIND_INSTANCES, timeoutMs)
  } catch (error) {
    throw explain(link, error) ?? error
  }
  const [rows] = readAnswer(listSchema, answer)
  return { atMs: (rows[0]?.at ?? 0) * 1000, instances: presentInstances(rows) }
}

const UNDEFINED_FUNCTION = '42883'
const INSUFFICIENT_PRIVILEGE = '42501'

function explain({ server, role }: Link, error: unknown): SlotkeeperError | undefined {
  const code = sqlstateOf(error)
  if (code === UNDEFINED_FUNCTION) {
    return new SlotkeeperError(
      'forbidden',
      `${server} has no function aurora_replica_status(), so it is not an instance of an Aurora PostgreSQL cluster, and the others can't be found. Nothing was ended. Name the endpoint of an Aurora cluster, or sweep this server alone (without SLOTKEEPER_CLUSTER, "cluster" or --cluster).`,
      { cause: error },
    )
  }
  if (code === INSUFFICIENT_PRIVILEGE) {
    return new SlotkeeperError(
      'rights',
      `role ${role} may not ask ${server} for the instances of its cluster, so nothing was ended. As an administrator, in the database that the sweep connects to: GRANT EXECUTE ON FUNCTION pg_catalog.aurora_replica_status() TO ${escapeIdentifier(role)};`,
      { cause: error },
    )
  }
  return undefined
}

function sqlstateOf(error: unknown): string | undefined {
  const cause = error instanceof SlotkeeperError ? error.cause : undefined
  return cause instanceof DatabaseError ? cause.code : undefined
}

/** The name that an Aurora instance has by its own account. */
const ASK_ID = 'select lower(aurora_db_instance_identifier()) as id'
/** Two servers do not start in the same microsecond. */
const ASK_START = 'select extract(epoch from pg_postmaster_start_time())::text as start'

const idSchema = v.strictTuple([v.strictTuple([v.object({ id: v.nullable(v.string()) })])])
const startSchema = v.strictTuple([v.strictTuple([v.object({ start: v.string() })])])

/** Which server answers, whatever name led to it: its identifier, and if it has none, when it started. */
export type Identity = { id: string } | { start: string }

/** @throws SlotkeeperError */
export async function identify(link: Link, timeoutMs: number): Promise<Identity> {
  try {
    const [[{ id }]] = readAnswer(idSchema, await link.query(ASK_ID, timeoutMs))
    if (id !== null && id !== '') return { id }
  } catch (error) {
    // Without the function, or without the right to call it, the start of the server tells it apart.
    const code = sqlstateOf(error)
    if (code !== UNDEFINED_FUNCTION && code !== INSUFFICIENT_PRIVILEGE) throw error
  }
  const [[{ start }]] = readAnswer(startSchema, await link.query(ASK_START, timeoutMs))
  return { start }
}
