import { Duration } from 'aws-cdk-lib'

export interface ConnectionParametersProps {
  /** All slots of the server; each costs memory. @default - what the engine computes from it */
  readonly maxConnections?: number
  /** Slots for roles with `pg_use_reserved_connections`; PostgreSQL 16 and later. @default - none */
  readonly reservedConnections?: number
  /** When the server itself ends a session that is idle in a transaction. @default 15 minutes */
  readonly idleInTransactionSessionTimeout?: Duration
  /** How soon the server asks whether a silent peer still lives. @default 60 seconds */
  readonly keepaliveIdle?: Duration
}

const KEEPALIVE_INTERVAL_S = 10
const KEEPALIVE_COUNT = 6

/**
 * Settings for an `rds.ParameterGroup` that let the server itself do its part: end transactions that
 * were left open, and notice peers that are gone (after two minutes instead of the system's two
 * hours). `max_connections` and `reserved_connections` need a restart.
 */
export function connectionParameters(
  props: ConnectionParametersProps = {},
): Record<string, string> {
  const { maxConnections, reservedConnections } = props
  for (const [name, value] of Object.entries({ maxConnections, reservedConnections })) {
    if (value !== undefined && (!Number.isInteger(value) || value < 1)) {
      throw new Error(`connectionParameters: ${name} is ${value}; expected a whole number from 1`)
    }
  }
  const idle = props.idleInTransactionSessionTimeout ?? Duration.minutes(15)
  const keepalive = props.keepaliveIdle ?? Duration.seconds(60)
  return {
    ...(maxConnections === undefined ? {} : { max_connections: String(maxConnections) }),
    ...(reservedConnections === undefined
      ? {}
      : { reserved_connections: String(reservedConnections) }),
    idle_in_transaction_session_timeout: String(idle.toMilliseconds()),
    tcp_keepalives_idle: String(keepalive.toSeconds()),
    tcp_keepalives_interval: String(KEEPALIVE_INTERVAL_S),
    tcp_keepalives_count: String(KEEPALIVE_COUNT),
  }
}
