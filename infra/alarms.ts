import { Duration } from 'aws-cdk-lib'
import {
  Alarm,
  ComparisonOperator,
  type IAlarm,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import { Construct } from 'constructs'
import type { MetricSet } from '../lambda/core/measurements.ts'
import type { Mode } from '../lambda/core/report.ts'
import { type Definition, definitions } from './alarm-definitions.ts'
import {
  type AlarmName,
  type AlarmSetting,
  type AlarmSettings,
  MOST_MINUTES,
} from './alarm-settings.ts'

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

export interface ReaperAlarmsProps extends AlarmSettings {
  readonly metrics: TargetMetrics
  readonly sweep: IFunction
  /** In mode `observe` nothing is reaped or refused: the alarms then count what would be. */
  readonly mode: Mode
  /** Told when an alarm goes off and when it is over. */
  readonly topic?: ITopic
}

/** The alarms of one target; each tells the paged person what it means and what to do first. */
export class ReaperAlarms extends Construct {
  readonly all: IAlarm[]

  /** @throws Error that names the path of a setting which no alarm can have */
  constructor(scope: Construct, id: string, props: ReaperAlarmsProps) {
    super(scope, id)
    const { metrics, topic } = props
    this.all = Object.entries(definitions(props)).flatMap(([name, definition]) => {
      const setting = this.settingOf(name as AlarmName, definition, props)
      if (!setting) return []
      const { threshold, minutes } = setting
      const { breaching, of } = definition.window?.(minutes) ?? { breaching: minutes, of: minutes }
      const alarm = new Alarm(this, name, {
        alarmDescription: `${metrics.target}: ${definition.describe(setting)}`,
        metric: definition.metric,
        threshold,
        comparisonOperator: definition.operator ?? ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluationPeriods: of,
        datapointsToAlarm: breaching,
        treatMissingData: definition.missing ?? TreatMissingData.NOT_BREACHING,
      })
      if (topic) {
        alarm.addAlarmAction(new SnsAction(topic))
        alarm.addOkAction(new SnsAction(topic))
      }
      return alarm
    })
  }

  private settingOf(
    name: AlarmName,
    { threshold, minutes }: Definition,
    props: AlarmSettings,
  ): Required<AlarmSetting> | false {
    const own = props[name]
    if (own === false) return false
    const setting = { threshold: own?.threshold ?? threshold, minutes: own?.minutes ?? minutes }
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
