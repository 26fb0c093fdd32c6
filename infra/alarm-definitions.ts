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
  /** The alarm goes off if `breaching` of the last `of` minutes breach. @default - all of `minutes` */
  window?: (minutes: number) => { breaching: number; of: number }
  missing?: TreatMissingData
  describe: (setting: Required<AlarmSetting>) => string
}

/** What the alarms watch. */
export type Watched = {
  metrics: { set: MetricSet; of(name: MetricName, statistic?: string): IMetric }
  sweep: IFunction
  mode: Mode
  /** Whether the target is a whole cluster. */
  cluster?: boolean
}

/**
 * The alarms that fit what the function publishes. Each sentence of a description is also in the alarm's section of
 * docs/operations.md, and a test compares the two.
 */
export function definitions(props: Watched): Partial<Record<AlarmName, Definition>> {
  const { metrics, mode, cluster = false } = props
  const always: Partial<Record<AlarmName, Definition>> = {
    SlotsUsed: {
      metric: metrics.of('SlotsUsedPercent'),
      threshold: 80,
      minutes: 3,
      // A full server that lets no sweep in publishes no count. The alarm must not turn OK because of that.
      missing: TreatMissingData.IGNORE,
      describe: ({ threshold, minutes }) =>
        `Over ${threshold} % of the slots that ordinary roles can use are taken, ${span(minutes)}. Look at the dashboard to see which state grows. Look in pg_stat_activity to see which application holds the sessions. "slotkeeper sweep" shows which of them the policy would end.`,
    },
    Exhausted: {
      metric: metrics.of('Exhausted'),
      threshold: 0,
      minutes: 1,
      describe: () =>
        'No connection slot is free for ordinary roles, so the server refuses the application (SQLSTATE 53300). If sweeps succeed, the log shows what they end: find the application that leaks. If sweeps fail, end sessions as the master user; the log names the grant that lets the next sweep in.',
    },
    Silent: {
      metric: cluster ? succeededWhole(props) : succeeded(props),
      threshold: 1,
      minutes: 3,
      operator: ComparisonOperator.LESS_THAN_THRESHOLD,
      // The minute that has just begun may count as one without a sweep.
      window: (minutes) => ({ breaching: minutes + 1, of: minutes + 3 }),
      missing: TreatMissingData.IGNORE,
      describe: ({ minutes }) =>
        cluster
          ? `No sweep reached every instance of the cluster for ${minutes} to ${minutes + 1} minutes, so assume that nothing frees slots on at least one of them. Read the last "sweep failed" or "metrics lost" line in the log: its "target" names the instance, and it says what failed and what to do. If there is no such line, look in the log for a timeout or a lack of memory, in the dashboard for throttled invocations, and check that the rule is enabled.`
          : `No invocation of the function succeeded for ${minutes} to ${minutes + 1} minutes, so assume that nothing frees slots. Read the last "sweep failed" or "metrics lost" line in the log: it says what failed and what to do. If there is no such line, look in the log for a timeout or a lack of memory, in the dashboard for throttled invocations, and check that the rule is enabled.`,
    },
  }
  if (mode === 'reap') {
    always.Leak = {
      metric: metrics.of('SessionsReaped', 'Sum'),
      threshold: 20,
      minutes: 15,
      describe: ({ threshold, minutes }) =>
        `Slotkeeper ended more than ${threshold} sessions a minute, ${span(minutes)}. An application leaks sessions as fast as Slotkeeper ends them. Find it by user, application and client in the dashboard's table of reaped sessions. Repair or restart it.`,
    }
  }
  if (metrics.set === 'essential') return always
  if (mode === 'observe') {
    always.Leak = {
      metric: metrics.of('SessionsWouldReap', 'Sum'),
      threshold: 20,
      minutes: 15,
      describe: ({ threshold, minutes }) =>
        `Slotkeeper would have ended more than ${threshold} further sessions a minute, ${span(minutes)}. An application leaks sessions, and mode observe ends none. Find it by user, application and client in the dashboard's table of sessions that would be reaped. Repair or restart it.`,
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
          ? `The server would refuse to end sessions that the policy says to end, ${span(minutes)}. Grant pg_signal_backend to the role.`
          : `The server did not end sessions that the policy says to end, ${span(minutes)}. Each "refused" line in the log has the SQLSTATE. With 42501, grant pg_signal_backend to the role. With 00000, the session was still there 3 s after its signal, which is usual after many sessions end at once: look again in a minute.`,
    },
    OldTransaction: {
      metric: metrics.of('OldestTransactionAge'),
      threshold: 900,
      minutes: 1,
      describe: ({ threshold }) =>
        `A transaction has been open for over ${threshold} s. It holds locks and keeps vacuum from removing dead rows. Find it in pg_stat_activity by xact_start. If work such as a backup may take that long, name it under "protect" in the policy.`,
    },
  }
}

/**
 * Sweeps that succeeded, counted as invocations that succeeded: a failed sweep and lost metrics both fail
 * their invocation. Lambda itself counts them, so the alarm also sees a function that never starts or that
 * can't reach CloudWatch.
 *
 * FILL with REPEAT has no data point before the first invocation, and one for every minute after it. In a
 * minute without an invocation IF takes its missing second argument as 0. So a new deployment does not set
 * off the alarm before its first sweep, and a function that stops sets it off within minutes.
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

/**
 * Sweeps of a cluster that reached every instance. Some of its instances may fail while the invocation succeeds, so
 * here the function's own metric counts. Without one, as when the function does not start or can't publish, IF takes
 * its missing second argument as 0.
 */
function succeededWhole({ sweep, metrics }: Watched): IMetric {
  return new MathExpression({
    expression: 'IF(FILL(invocations, REPEAT), succeeded)',
    usingMetrics: {
      invocations: sweep.metricInvocations({ statistic: 'Sum', period: MINUTE }),
      succeeded: metrics.of('SweepSucceeded', 'Sum'),
    },
    label: 'sweeps that reached every instance',
    period: MINUTE,
  })
}

function span(minutes: number): string {
  return minutes === 1 ? 'in one minute' : `in each of ${minutes} minutes`
}
