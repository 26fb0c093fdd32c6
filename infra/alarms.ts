import { Duration } from 'aws-cdk-lib'
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import { Construct } from 'constructs'
import type {
  AlarmName,
  AlarmOptions,
  AlarmSetting,
  AlarmsByName,
  AlarmsOptions,
} from './alarm-options.ts'
import type { MetricSet } from './options.ts'

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

/**
 * What the alarms of one target watch.
 * @example { metrics: reaper.metrics, sweep: reaper.function, topics: [onCall] }
 */
export interface ReaperAlarmsProps extends AlarmsOptions {
  /**
   * The metrics of the target.
   * @example reaper.metrics
   */
  readonly metrics: TargetMetrics
  /**
   * The function that sweeps it.
   * @example reaper.function
   */
  readonly sweep: IFunction
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
  /** Those that were not left out. */
  readonly byName: AlarmsByName

  constructor(scope: Construct, id: string, props: ReaperAlarmsProps) {
    super(scope, id)
    const made: Partial<Record<AlarmName, Alarm>> = {}
    for (const [key, definition] of Object.entries(definitions(props))) {
      const name = key as AlarmName
      const options = props[name] ?? {}
      if (options !== false) made[name] = this.add(name, definition, options, props)
    }
    this.byName = made
  }

  private add(
    name: AlarmName,
    definition: Definition,
    options: AlarmOptions,
    props: ReaperAlarmsProps,
  ): Alarm {
    const alarm = new Alarm(this, name, {
      alarmDescription: `${props.metrics.target}: ${definition.description}${said(options)}`,
      metric: definition.metric,
      threshold: options.threshold ?? definition.threshold,
      comparisonOperator: definition.operator ?? ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: options.minutes ?? definition.minutes,
      datapointsToAlarm: options.minutes ?? definition.minutes,
      treatMissingData: definition.missing ?? TreatMissingData.NOT_BREACHING,
    })
    const topics = [props.topic ?? [], props.topics ?? [], options.topics ?? []].flat()
    for (const topic of topics) {
      alarm.addAlarmAction(new SnsAction(topic))
      alarm.addOkAction(new SnsAction(topic))
    }
    alarm.addAlarmAction(...(props.actions ?? []), ...(options.actions ?? []))
    return alarm
  }
}

/** What is set otherwise than the description says. */
function said({ threshold, minutes }: AlarmSetting): string {
  const set = [
    ...(threshold === undefined ? [] : [`threshold ${threshold}`]),
    ...(minutes === undefined ? [] : [`minutes ${minutes}`]),
  ]
  return set.length === 0 ? '' : ` (Set here: ${set.join(', ')}.)`
}

function definitions(props: ReaperAlarmsProps): Record<string, Definition> {
  const { metrics, sweep } = props
  const slotsUsedPercent = 80
  const reapedPerMinute = 20
  const oldest = Duration.minutes(15)
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
