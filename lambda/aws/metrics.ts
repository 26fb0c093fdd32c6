import { type Measurement, samplesOf } from '../core/measurements.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { writeMetrics } from '../log.ts'
import { putMetricData, Unanswered } from './cloudwatch.ts'

/** Where the metrics go, and under which namespace and `Target` dimension. */
export type Destination = { via: 'cloudwatch' | 'emf'; namespace: string; target: string }

/**
 * Publishes the metrics of one sweep, in one request or in one log line for the target and one for each instance.
 * @throws SlotkeeperError of kind `publish`
 */
export async function publish(
  measurements: Measurement[],
  destination: Destination,
): Promise<void> {
  if (destination.via === 'emf') {
    const instances = new Set(measurements.map(({ instance }) => instance))
    for (const instance of instances) {
      const own = measurements.filter((measurement) => measurement.instance === instance)
      writeMetrics(embedded(own, destination, Date.now(), instance))
    }
  } else await put(measurements, destination)
}

async function put(measurements: Measurement[], { namespace, target }: Destination): Promise<void> {
  const Timestamp = new Date()
  const MetricData = measurements.map(({ name, unit, values, counts, instance }) => ({
    MetricName: name,
    Dimensions: [
      { Name: 'Target', Value: target },
      ...(instance === undefined ? [] : [{ Name: 'Instance', Value: instance }]),
    ],
    Timestamp,
    Unit: unit,
    Values: values,
    Counts: counts,
  }))
  try {
    await putMetricData({ Namespace: namespace, MetricData })
  } catch (error) {
    const problem =
      error instanceof Unanswered
        ? 'got no answer from CloudWatch. It may have taken them, so they were not sent again:'
        : 'could not be put into CloudWatch:'
    throw new SlotkeeperError(
      'publish',
      `the metrics of target ${target} ${problem} ${messageOf(error)}. Check cloudwatch:PutMetricData on namespace ${namespace}, and the network path from the subnet to CloudWatch (or set SLOTKEEPER_METRICS=emf, which needs none).`,
      { cause: error },
    )
  }
}

/**
 * The metrics in the CloudWatch embedded metric format. CloudWatch Logs extracts them from the log line.
 * @param timestampMs since the epoch
 * @param instance the instance of a cluster that all of the measurements are of
 */
export function embedded(
  measurements: Measurement[],
  { namespace, target }: Destination,
  timestampMs: number,
  instance?: string,
): object {
  return {
    _aws: {
      Timestamp: timestampMs,
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [['Target', ...(instance === undefined ? [] : ['Instance'])]],
          Metrics: measurements.map(({ name, unit }) => ({ Name: name, Unit: unit })),
        },
      ],
    },
    Target: target,
    ...(instance !== undefined && { Instance: instance }),
    ...Object.fromEntries(
      measurements.map((measurement) => {
        const samples = samplesOf(measurement)
        return [measurement.name, samples.length === 1 ? samples[0] : samples]
      }),
    ),
  }
}
