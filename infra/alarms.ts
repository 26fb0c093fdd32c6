import { Duration } from 'aws-cdk-lib'
import {
  Alarm,
  ComparisonOperator,
  type IAlarm,
  type IMetric,
  MathExpression,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import { Construct } from 'constructs'
import type { MetricSet } from '../lambda/core/measurements.ts'
import type { Mode } from '../lambda/core/report.ts'

const MINUTE = Duration.minutes(1)
/** CloudWatch evaluates a day at most of an alarm by the minute; three of it are the slack of `Silent`. */
const MOST_MINUTES = 1437

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

export const ALARM_NAMES = [
  'SlotsUsed',
  'Exhausted',
  'Silent',
  'Leak',
  'Refused',
  'OldTransaction',
] as const
export type AlarmName = (typeof ALARM_NAMES)[number]

/** When one alarm goes off. */
export interface AlarmSetting {
  /** In the unit of the alarm's metric: see docs/operations.md. */
  readonly threshold?: number
  /** How many minutes it has to last, from 1 to 1437. */
  readonly minutes?: number
}

/** Each alarm's own setting; `false` leaves the alarm out. */
export type AlarmSettings = { readonly [Name in AlarmName]?: false | AlarmSetting }

export interface ReaperAlarmsProps extends AlarmSettings {
  readonly metrics: TargetMetrics
  readonly sweep: IFunction
  /** In mode `observe` nothing is reaped or refused: the alarms then count what would be. */
  readonly mode: Mode
  /** Told when an alarm goes off and when it is over. */
  readonly topic?: ITopic
}

type Definition = Required<AlarmSetting> & {
  metric: IMetric
  operator?: ComparisonOperator
  /** How many minutes have to breach, of how many. @default - all of `minutes` */
  window?: (minutes: number) => { breaching: number; of: number }
  missing?: TreatMissingData
  describe: (setting: Required<AlarmSetting>) => string
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

function definitions(props: ReaperAlarmsProps): Partial<Record<AlarmName, Definition>> {
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
function succeeded({ sweep }: ReaperAlarmsProps): IMetric {
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
