import { Duration, Token } from 'aws-cdk-lib'
import * as v from 'valibot'
import { record } from '../lambda/core/schema.ts'
import { problemOf, refusal, wholeBetween } from './checked.ts'

/**
 * Settings with which the server itself limits its connections.
 * @example { maxConnections: 500, idleSessionTimeout: Duration.hours(1) }
 */
export interface ConnectionParametersProps {
  /**
   * The number of connection slots (`max_connections`). Each slot costs memory. A change takes effect
   * after a restart.
   * @example 500
   * @default - the engine computes it from the memory
   */
  readonly maxConnections?: number
  /**
   * The number of slots that are reserved for roles with `pg_use_reserved_connections`
   * (`reserved_connections`, PostgreSQL 16 and later). A change takes effect after a restart.
   * @example 5
   * @default - none
   */
  readonly reservedConnections?: number
  /**
   * After how long the server itself ends a session that is idle in a transaction. 0 means never.
   * @example Duration.minutes(5)
   * @default Duration.minutes(15)
   */
  readonly idleInTransactionSessionTimeout?: Duration
  /**
   * After how long the server itself ends an idle session. 0 means never. This applies to every role and
   * ignores the policy: pools and listeners lose their connections too.
   * @example Duration.hours(8)
   * @default - never
   */
  readonly idleSessionTimeout?: Duration
  /**
   * After how long without traffic the server checks that the client is still there, by TCP keepalive.
   * @example Duration.seconds(30)
   * @default Duration.seconds(60)
   */
  readonly keepaliveIdle?: Duration
}

const KEEPALIVE_INTERVAL_S = 10
const KEEPALIVE_COUNT = 6

/** PostgreSQL's limit for `max_connections` (`MAX_BACKENDS`). */
const MOST_CONNECTIONS = 262_143
/** The default of `superuser_reserved_connections`. Both reserves must leave at least one slot. */
const SUPERUSER_RESERVED = 3
/** PostgreSQL stores a timeout as a 32-bit number of milliseconds. */
const MOST_TIMEOUT_MS = 2_147_483_647

const duration = v.optional(
  v.custom<Duration>((value) => {
    const isDuration = typeof value === 'object' && value !== null && 'toMilliseconds' in value
    return isDuration && (value as Duration).toMilliseconds() <= MOST_TIMEOUT_MS
  }, 'expected a Duration of at most 24 days'),
)
const count = v.optional(wholeBetween(1, MOST_CONNECTIONS))

const schema = record({
  maxConnections: count,
  reservedConnections: count,
  idleInTransactionSessionTimeout: duration,
  idleSessionTimeout: duration,
  keepaliveIdle: duration,
} satisfies Record<keyof ConnectionParametersProps, v.GenericSchema>)

/**
 * Returns settings for an `rds.ParameterGroup`, with which the server itself ends transactions that were
 * left open, and notices clients that are gone (after two minutes, instead of the system's two hours).
 * A change of `max_connections` or `reserved_connections` takes effect after a restart.
 * @example
 * new ParameterGroup(this, 'Parameters', {
 *   engine,
 *   parameters: connectionParameters({ idleSessionTimeout: Duration.hours(8) }),
 * })
 * @throws Error that names each property that PostgreSQL would refuse
 */
export function connectionParameters(
  props: ConnectionParametersProps = {},
): Record<string, string> {
  const problems = problemsOf(props)
  if (problems.length > 0) throw refusal('connectionParameters', problems, 'connectionParameters: ')
  const { maxConnections, reservedConnections, idleSessionTimeout } = props
  const idle = props.idleInTransactionSessionTimeout ?? Duration.minutes(15)
  const keepalive = props.keepaliveIdle ?? Duration.seconds(60)
  return withoutAbsent({
    max_connections: maxConnections,
    reserved_connections: reservedConnections,
    idle_in_transaction_session_timeout: idle.toMilliseconds(),
    idle_session_timeout: idleSessionTimeout?.toMilliseconds(),
    tcp_keepalives_idle: keepalive.toSeconds(),
    tcp_keepalives_interval: KEEPALIVE_INTERVAL_S,
    tcp_keepalives_count: KEEPALIVE_COUNT,
  })
}

function problemsOf(props: ConnectionParametersProps): string[] {
  const { issues } = v.safeParse(schema, props)
  if (issues) return issues.map((issue) => problemOf('', issue).slice(1))
  const { maxConnections: all, reservedConnections: reserved } = props
  if (all === undefined || reserved === undefined) return []
  if (Token.isUnresolved(all) || Token.isUnresolved(reserved)) return []
  if (reserved + SUPERUSER_RESERVED < all) return []
  return [
    `reservedConnections: expected fewer than maxConnections - ${SUPERUSER_RESERVED} (superuser_reserved_connections), found ${reserved} of ${all}: PostgreSQL would not start`,
  ]
}

function withoutAbsent(numbers: Record<string, number | undefined>): Record<string, string> {
  const set = Object.entries(numbers).filter(([, value]) => value !== undefined)
  return Object.fromEntries(set.map(([name, value]) => [name, String(value)]))
}
