import { type DataPoint, METRIC_PERIOD_MS, USAGE_WINDOW_MS, type Usage } from '../core/pause.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { CLIENT_OPTIONS } from './client-options.ts'
import { loadSdk } from './cloudwatch.ts'

/** What RDS publishes metrics of: a whole cluster, or one instance, by its identifier. */
export type Subject = { dimension: 'DBClusterIdentifier' | 'DBInstanceIdentifier'; id: string }

const METRICS = ['ServerlessDatabaseCapacity', 'DatabaseConnections'] as const

/**
 * Reads from CloudWatch how much each of the subjects was used in the last minutes, in one request.
 * @param region of the cluster; undefined for the function's own
 * @throws SlotkeeperError of kind `unreachable`
 */
export async function readUsage(subjects: Subject[], region?: string): Promise<Usage[]> {
  const { CloudWatchClient, GetMetricDataCommand } = await loadSdk()
  const client = new CloudWatchClient({
    ...(region !== undefined && { region }),
    ...CLIENT_OPTIONS,
  })
  const now = Date.now()
  const MetricDataQueries = subjects.flatMap(({ dimension, id }, index) =>
    METRICS.map((MetricName) => ({
      Id: idOf(MetricName, index),
      MetricStat: {
        Metric: {
          Namespace: 'AWS/RDS',
          MetricName,
          Dimensions: [{ Name: dimension, Value: id }],
        },
        Period: METRIC_PERIOD_MS / 1000,
        Stat: 'Maximum',
      },
    })),
  )
  try {
    const { MetricDataResults = [] } = await client.send(
      new GetMetricDataCommand({
        MetricDataQueries,
        StartTime: new Date(now - USAGE_WINDOW_MS),
        EndTime: new Date(now),
      }),
    )
    const pointsOf = (metric: (typeof METRICS)[number], index: number): DataPoint[] => {
      const found = MetricDataResults.find(({ Id }) => Id === idOf(metric, index))
      const { Timestamps = [], Values = [] } = found ?? {}
      return Timestamps.flatMap((at, place) => {
        const value = Values[place]
        return value === undefined ? [] : [{ atMs: at.getTime(), value }]
      })
    }
    return subjects.map((_, index) => ({
      capacity: pointsOf('ServerlessDatabaseCapacity', index),
      connections: pointsOf('DatabaseConnections', index),
    }))
  } catch (error) {
    throw new SlotkeeperError(
      'unreachable',
      `CloudWatch did not say whether the cluster is paused, so no connection was made and nothing was swept: ${messageOf(error)}. Check cloudwatch:GetMetricData and the network path from the subnet to CloudWatch (autoPause needs both).`,
      { cause: error },
    )
  } finally {
    client.destroy()
  }
}

/** An Id begins with a lower-case letter. */
function idOf(metric: (typeof METRICS)[number], index: number): string {
  return `${metric === 'DatabaseConnections' ? 'connections' : 'capacity'}${index}`
}
