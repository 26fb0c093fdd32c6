import { Duration } from 'aws-cdk-lib'
import {
  Alarm,
  ComparisonOperator,
  type IAlarm,
  type IMetric,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import { Construct } from 'constructs'
import type { MetricSet } from '../lambda/core/measurements.ts'

const MINUTE = Duration.minutes(1)

/** The metrics of one target, as the function names them. */
export class TargetMetrics {
  readonly target: string
  readonly set: MetricSet
  private readonly namespace: string

  constructor(namespace: string, target: string, set: MetricSet) {
    this.namespace = namespace
    this.target = target
    this.set = set
  }

  /** `statistic` as CloudWatch has it: `Maximum`, `Sum`, `p95`, …; per minute. */
  of(metricName: string, statistic = 'Maximum', label?: string): Metric {
    const dimensionsMap = { Target: this.target }
    const { namespace } = this
    return new Metric({ namespace, metricName, dimensionsMap, statistic, label, period: MINUTE })
  }
}

/** When the alarms go off. */
export interface AlarmThresholds {
  /** Of the slots that ordinary roles can use, for three minutes. @default 80 */
  readonly slotsUsedPercent?: number
  /** @default 15 minutes */
  readonly oldestTransaction?: Duration
  /** Sessions reaped in each of fifteen minutes. @default 20 */
  readonly reapedPerMinute?: number
}

export interface ReaperAlarmsProps extends AlarmThresholds {
  readonly metrics: TargetMetrics
  readonly sweep: IFunction
  /** Told when an alarm goes off and when it is over. */
  readonly topic?: ITopic
}

type Definition = {
  metric: IMetric
  threshold: number
  operator?: ComparisonOperator
  /** Minutes in a row. */
  minutes: number
  missing?: TreatMissingData
  description: string
}

/** The alarms of one target; each tells the paged person what it means and what to do first. */
export class ReaperAlarms extends Construct {
  readonly all: IAlarm[]

  constructor(scope: Construct, id: string, props: ReaperAlarmsProps) {
    super(scope, id)
    const { metrics, topic } = props
    this.all = Object.entries(definitions(props)).map(([name, definition]) => {
      const alarm = new Alarm(this, name, {
        alarmDescription: `${metrics.target}: ${definition.description}`,
        metric: definition.metric,
        threshold: definition.threshold,
        comparisonOperator: definition.operator ?? ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluationPeriods: definition.minutes,
        datapointsToAlarm: definition.minutes,
        treatMissingData: definition.missing ?? TreatMissingData.NOT_BREACHING,
      })
      if (topic) {
        alarm.addAlarmAction(new SnsAction(topic))
        alarm.addOkAction(new SnsAction(topic))
      }
      return alarm
    })
  }
}

function definitions(props: ReaperAlarmsProps): Record<string, Definition> {
  const { metrics, sweep, slotsUsedPercent = 80, reapedPerMinute = 20 } = props
  const oldest = props.oldestTransaction ?? Duration.minutes(15)
  const perMinute = { statistic: 'Sum', period: MINUTE }
  const always: Record<string, Definition> = {
    SlotsUsed: {
      metric: metrics.of('SlotsUsedPercent'),
      threshold: slotsUsedPercent,
      minutes: 3,
      // A full server that lets no sweep in sends no count, and is no reason to call it over.
      missing: TreatMissingData.IGNORE,
      description: `over ${slotsUsedPercent} % of the slots that ordinary roles can use are taken. See in the dashboard which state grows, and in pg_stat_activity whose sessions they are; "slotkeeper sweep --observe" shows which of them the policy would end.`,
    },
    Exhausted: {
      metric: metrics.of('Exhausted'),
      threshold: 0,
      minutes: 1,
      description:
        'every connection slot was taken (SQLSTATE 53300): the application is being refused. If sweeps fail too, the log names the grant that would let them in; until then end sessions as the master user.',
    },
    Silent: {
      metric: metrics.of('SweepSucceeded', 'Sum'),
      threshold: 1,
      operator: ComparisonOperator.LESS_THAN_THRESHOLD,
      minutes: 3,
      missing: TreatMissingData.BREACHING,
      description:
        'no sweep succeeded for three minutes: nobody guards the slots. Read the last "sweep failed" line in the log of the function; it names what failed and what to do.',
    },
    Leak: {
      metric: metrics.of('SessionsReaped', 'Sum'),
      threshold: reapedPerMinute,
      minutes: 15,
      description: `more than ${reapedPerMinute} sessions were reaped in each of 15 minutes: an application leaks them as fast as they are ended. Find it by user, application and client in the table of reaped sessions, and mend or restart it.`,
    },
    Errors: {
      metric: sweep.metricErrors(perMinute),
      threshold: 0,
      minutes: 3,
      description: 'the function failed in each of three minutes. Read its log.',
    },
    Throttles: {
      metric: sweep.metricThrottles(perMinute),
      threshold: 0,
      minutes: 3,
      description:
        "invocations were throttled in each of three minutes: sweeps overlap, or the account's concurrency is used up.",
    },
  }
  if (metrics.set === 'essential') return always
  return {
    ...always,
    Refused: {
      metric: metrics.of('ReapsRefused', 'Sum'),
      threshold: 0,
      minutes: 3,
      description:
        'the server refused to end sessions that the policy condemns. The log has the SQLSTATE of each: with 42501, GRANT pg_signal_backend to the role; with 00000, it was still there 3 s after its signal, as is usual after a mass reap: look again in a minute.',
    },
    OldTransaction: {
      metric: metrics.of('OldestTransactionAge'),
      threshold: oldest.toSeconds(),
      minutes: 1,
      description: `a transaction is open for over ${oldest.toMinutes()} minutes: it holds locks and keeps vacuum from its work. Find it in pg_stat_activity by xact_start.`,
    },
  }
}
