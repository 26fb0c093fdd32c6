import type { Aws } from '../../stand-ins/aws.ts'
import type { Lambda } from '../../stand-ins/lambda.ts'
import type { Minute } from './cloudwatch.ts'

/**
 * Invokes the function, and gives what CloudWatch then has of it: the metrics that it published, and
 * those that Lambda counts of every invocation.
 */
export async function record(lambda: Lambda, aws: Aws): Promise<Minute> {
  const before = aws.puts.length
  const { ok } = await lambda.invoke({})
  const published = aws.puts.slice(before).flatMap(({ Namespace, MetricData }) =>
    // The metrics of a cluster's instances have a second dimension, and no alarm looks at them.
    MetricData.filter(({ Dimensions }) => Dimensions?.length === 1).map(
      ({ MetricName, Values = [], Counts }): [string, number[]] => [
        `${Namespace}/${MetricName}`,
        Values.flatMap((value, index) => Array(Counts?.[index] ?? 1).fill(value)),
      ],
    ),
  )
  return {
    ...Object.fromEntries(published),
    'AWS/Lambda/Invocations': [1],
    'AWS/Lambda/Errors': [ok ? 0 : 1],
  }
}

/** One minute in which all of these sweeps were made. */
export function together(...sweeps: Minute[]): Minute {
  const names = new Set(sweeps.flatMap(Object.keys))
  return Object.fromEntries(
    [...names].map((name) => [name, sweeps.flatMap((sweep) => sweep[name] ?? [])]),
  )
}
