/** One value of a CloudWatch metric; `atMs` is the beginning of its minute, ms since the epoch. */
export type DataPoint = { atMs: number; value: number }

/** What CloudWatch knows of the last minutes of a cluster, or of one of its instances. */
export type Usage = {
  /** `ServerlessDatabaseCapacity`, in ACUs. 0 means paused. */
  capacity: DataPoint[]
  /** `DatabaseConnections`, of the instance that has the most. */
  connections: DataPoint[]
}

/** The time in which a function itself was connected, ms since the epoch. */
export type Stay = { fromMs: number; toMs: number }

/** CloudWatch has one value a minute of each metric. */
export const METRIC_PERIOD_MS = 60_000
/** Older values say nothing about now. RDS publishes its metrics one to three minutes late. */
export const USAGE_WINDOW_MS = 5 * METRIC_PERIOD_MS

/** Why no connection is made. In doubt it is not known whether somebody is connected. */
export type Away = { why: string; inDoubt: boolean }

/**
 * Why no connection may be made, or undefined if somebody else is connected. In doubt none may be made: even an
 * attempt that is refused wakes a paused instance, and a connection that stays keeps it from pausing.
 * @param own when the function itself was connected. It keeps one connection to each instance
 */
export function reasonToStayAway(
  { capacity, connections }: Usage,
  own: Stay | undefined,
): Away | undefined {
  const lastCapacity = latest(capacity)
  const lastConnections = latest(connections)
  if (lastCapacity?.value === 0) {
    return { why: 'it is paused (ServerlessDatabaseCapacity is 0)', inDoubt: false }
  }
  if (lastCapacity === undefined || lastConnections === undefined) {
    const missing =
      lastCapacity === undefined ? 'ServerlessDatabaseCapacity' : 'DatabaseConnections'
    const why = `CloudWatch has no ${missing} of the last ${USAGE_WINDOW_MS / METRIC_PERIOD_MS} minutes, so it is not known whether it is paused. If this does not end, check that it is Aurora Serverless.`
    return { why, inDoubt: true }
  }
  const ours = wasConnected(own, lastConnections.atMs) ? 1 : 0
  if (lastConnections.value > ours) return undefined
  return { why: 'nobody else is connected (DatabaseConnections)', inDoubt: false }
}

function latest(points: DataPoint[]): DataPoint | undefined {
  return [...points].sort((a, b) => b.atMs - a.atMs)[0]
}

/** Whether the function was connected in the minute of a value, or in the one before: the clocks may differ. */
function wasConnected(own: Stay | undefined, atMs: number): boolean {
  if (own === undefined) return false
  return own.fromMs < atMs + METRIC_PERIOD_MS && own.toMs > atMs - METRIC_PERIOD_MS
}
