import { Duration } from 'aws-cdk-lib'
import {
  Alarm,
  ComparisonOperator,
  MathExpression,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import { Construct } from 'constructs'
import { type Definition, definitions } from './alarm-definitions.ts'
import type {
  AlarmName,
  AlarmOptions,
  AlarmSetting,
  AlarmsByName,
  AlarmsOptions,
} from './alarm-options.ts'
import { MOST_MINUTES } from './alarm-settings.ts'
import type { MetricName, MetricSet, ReaperMode } from './options.ts'

const MINUTE = Duration.minutes(1)
/** CloudWatch replaces it by the name of the instance. */
const INSTANCE_LABEL = '$' + "{PROP('Dim.Instance')}"

/**
 * The CloudWatch metrics of one target.
 * @example reaper.metrics.of('SlotsUsedPercent')
 */
export class TargetMetrics {
  readonly target: string
  readonly set: MetricSet
  private readonly namespace: string

  constructor(namespace: string, target: string, set: MetricSet) {
    this.namespace = namespace
    this.target = target
    this.set = set
  }

  /**
   * One metric, with a period of one minute.
   * @param statistic a CloudWatch statistic, such as `Maximum`, `Sum` or `p95`
   * @param label its name in a graph; without it, CloudWatch's own
   */
  of(metricName: MetricName, statistic = 'Maximum', label?: string): Metric {
    const dimensionsMap = { Target: this.target }
    const { namespace } = this
    return new Metric({ namespace, metricName, dimensionsMap, statistic, label, period: MINUTE })
  }

  /**
   * One metric of each instance of a cluster, also of those that join it later. For graphs only: an alarm can't
   * search. Only the full set has metrics of instances.
   */
  ofInstances(metricName: MetricName, statistic = 'Maximum'): MathExpression {
    const search = `{"${this.namespace}",Target,Instance} MetricName="${metricName}" Target="${this.target}"`
    return new MathExpression({
      expression: `SEARCH('${search}', '${statistic}', ${MINUTE.toSeconds()})`,
      usingMetrics: {},
      label: INSTANCE_LABEL,
      period: MINUTE,
    })
  }
}

/**
 * The properties of `ReaperAlarms`: what the alarms watch, and their settings.
 * @example { metrics: reaper.metrics, sweep: reaper.function, mode: 'reap', topics: [onCall] }
 */
export interface ReaperAlarmsProps extends AlarmsOptions {
  /**
   * The metrics of the target.
   * @example reaper.metrics
   */
  readonly metrics: TargetMetrics
  /**
   * The function that sweeps the target.
   * @example reaper.function
   */
  readonly sweep: IFunction
  /**
   * The mode of the reaper. In mode `observe` no session is reaped or refused, so `Leak` and `Refused`
   * count the sessions that would be.
   * @example 'reap'
   */
  readonly mode: ReaperMode
  /**
   * Whether the target is a whole cluster. `Silent` then goes off too if sweeps reach only some of its instances.
   * @example true
   * @default false
   */
  readonly cluster?: boolean
}

/** The alarms of one target. Each description says what the alarm means, what to do first, and where the runbook is. */
export class ReaperAlarms extends Construct {
  /** The alarms by name, without those that were left out. */
  readonly byName: AlarmsByName

  /** @throws Error that names the path of an invalid setting */
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
    const setting = this.settingOf(name, definition, options)
    const { threshold, minutes } = setting
    const { breaching, of } = definition.window?.(minutes) ?? { breaching: minutes, of: minutes }
    const alarm = new Alarm(this, name, {
      alarmDescription: `${props.metrics.target}: ${definition.describe(setting)} Runbook: docs/operations.md#${name.toLowerCase()}`,
      metric: definition.metric,
      threshold,
      comparisonOperator: definition.operator ?? ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: of,
      datapointsToAlarm: breaching,
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

  private settingOf(
    name: AlarmName,
    { threshold, minutes }: Definition,
    own: AlarmSetting,
  ): Required<AlarmSetting> {
    const setting = { threshold: own.threshold ?? threshold, minutes: own.minutes ?? minutes }
    const wrong = Object.entries({
      threshold: Number.isFinite(setting.threshold) ? undefined : 'a number',
      minutes:
        Number.isInteger(setting.minutes) && setting.minutes >= 1 && setting.minutes <= MOST_MINUTES
          ? undefined
          : `a whole number from 1 to ${MOST_MINUTES}`,
    }).find(([, form]) => form !== undefined)
    if (!wrong) return setting
    const [field, form] = wrong as [keyof AlarmSetting, string]
    throw new Error(
      `${this.node.path}: alarms.${name}.${field} is ${setting[field]}; expected ${form}`,
    )
  }
}
