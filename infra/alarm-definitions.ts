import { Duration } from 'aws-cdk-lib'
import {
  ComparisonOperator,
  type IMetric,
  MathExpression,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { MetricName, MetricSet } from '../lambda/core/measurements.ts'
import type { Mode } from '../lambda/core/report.ts'
import type { AlarmName, AlarmSetting } from './alarm-options.ts'

const MINUTE = Duration.minutes(1)

/** What an alarm looks at, and when it goes off. */
export type Definition = Required<AlarmSetting> & {
  metric: IMetric
  operator?: ComparisonOperator
  /** How many minutes have to breach, of how many. @default - all of `minutes` */
  window?: (minutes: number) => { breaching: number; of: number }
  missing?: TreatMissingData
  describe: (setting: Required<AlarmSetting>) => string
}

/** What there is to be watched. */
export type Watched = {
  metrics: { set: MetricSet; of(name: MetricName, statistic?: string): IMetric }
  sweep: IFunction
  mode: Mode
}

/** The alarms that there can be, by what the function publishes. */
export function definitions(props: Watched): Partial<Record<AlarmName, Definition>> {
  const { metrics, mode } = props
  const always: Partial<Record<AlarmName, Definition>> = {
    SlotsUsed: {
      metric: metrics.of('SlotsUsedPercent'),
      threshold: 80,
      minutes: 3,
      // A full server that lets no sweep in sends no count, and is no reason to call it over.
      missing: TreatMissingData.IGNORE,
      describe: ({ threshold, minutes }) =>
        `over ${threshold} % of the slots that ordinary roles can use are taken, ${span(minutes)}. See in the dashboard which state grows, and in pg_stat_activity whose sessions they are; "slotkeeper sweep --observe" shows which of them the policy would end.`,
    },
    Exhausted: {
      metric: metrics.of('Exhausted'),
      threshold: 0,
      minutes: 1,
      describe: () =>
        'no connection slot is free for ordinary roles: the application is being refused (SQLSTATE 53300). If sweeps fail too, the log names the grant that would let them in; until then end sessions as the master user.',
    },
    Silent: {
      metric: succeeded(props),
      threshold: 1,
      minutes: 3,
      operator: ComparisonOperator.LESS_THAN_THRESHOLD,
      // The minute that has just begun may count as one without a sweep.
      window: (minutes) => ({ breaching: minutes + 1, of: minutes + 3 }),
      missing: TreatMissingData.IGNORE,
      describe: ({ minutes }) =>
        `no sweep succeeded for ${minutes} to ${minutes + 1} minutes: nobody guards the slots. Read the last "sweep failed" or "metrics lost" line in the log of the function; it names what failed and what to do. No such line: see in the log whether the function ran out of time or memory, in the dashboard whether it is throttled, and whether the rule that starts it is enabled.`,
    },
  }
  if (mode === 'reap') {
    always.Leak = {
      metric: metrics.of('SessionsReaped', 'Sum'),
      threshold: 20,
      minutes: 15,
      describe: ({ threshold, minutes }) =>
        `more than ${threshold} sessions were reaped a minute, ${span(minutes)}: an application leaks them as fast as they are ended. Find it by user, application and client in the table of reaped sessions, and mend or restart it.`,
    }
  }
  if (metrics.set === 'essential') return always
  if (mode === 'observe') {
    always.Leak = {
      metric: metrics.of('SessionsWouldReap', 'Sum'),
      threshold: 20,
      minutes: 15,
      describe: ({ threshold, minutes }) =>
        `more than ${threshold} further sessions would be reaped a minute, ${span(minutes)}: an application leaks them. Find it by user, application and client in the table of sessions that would be reaped, and mend or restart it.`,
    }
  }
  return {
    ...always,
    Refused: {
      metric: metrics.of('ReapsRefused', 'Sum'),
      threshold: 0,
      minutes: 3,
      describe: ({ minutes }) =>
        mode === 'observe'
          ? `the server would refuse to end the sessions that the policy condemns, ${span(minutes)}: GRANT pg_signal_backend to the role.`
          : `the server refused to end sessions that the policy condemns, ${span(minutes)}. The log has the SQLSTATE of each: with 42501, GRANT pg_signal_backend to the role; with 00000, it was still there 3 s after its signal, as is usual after a mass reap: look again in a minute.`,
    },
    OldTransaction: {
      metric: metrics.of('OldestTransactionAge'),
      threshold: 900,
      minutes: 1,
      describe: ({ threshold }) =>
        `a transaction is open for over ${threshold} s: it holds locks and keeps vacuum from its work. Find it in pg_stat_activity by xact_start. Where such work may take that long, as a backup does, name it under "protect" in the policy.`,
    },
  }
}

/**
 * Invocations that succeeded, which are sweeps that did: whatever fails a sweep or loses its metrics
 * fails its invocation. Counted by Lambda itself, so that a function which never starts, or which can't
 * reach CloudWatch, is known as well.
 *
 * REPEAT has a value from the first invocation on. There, a minute without one counts as 0, as IF does
 * with what is missing in its second argument; before, there is no data point. So a new deployment is
 * not silent before it could speak, and one that stops is within minutes.
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
 */
function succeeded({ sweep }: Watched): IMetric {
  const perMinute = { statistic: 'Sum', period: MINUTE }
  return new MathExpression({
    expression: 'IF(FILL(invocations, REPEAT), invocations - errors)',
    usingMetrics: {
      invocations: sweep.metricInvocations(perMinute),
      errors: sweep.metricErrors(perMinute),
    },
    label: 'sweeps that succeeded',
    period: MINUTE,
  })
}

function span(minutes: number): string {
  return minutes === 1 ? 'in one minute' : `in each of ${minutes} minutes`
}
