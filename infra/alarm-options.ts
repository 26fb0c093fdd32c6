import type { Alarm, IAlarmAction } from 'aws-cdk-lib/aws-cloudwatch'
import type { ITopic } from 'aws-cdk-lib/aws-sns'

/**
 * The name of an alarm.
 * @example 'Silent'
 */
export type AlarmName = Exclude<keyof AlarmsOptions, keyof AlarmsDefaults>

/**
 * The limits of one alarm. It goes off when its metric is beyond `threshold` in each of `minutes`.
 * @example { threshold: 90, minutes: 5 }
 */
export interface AlarmSetting {
  /**
   * The value beyond which the alarm goes off, in the unit of its metric.
   * @example 90
   * @default - the default of each alarm, which its property names
   */
  readonly threshold?: number
  /**
   * For how many minutes in a row the metric must be beyond the threshold: a whole number from 1 to 1437.
   * @example 5
   * @default - the default of each alarm, which its property names
   */
  readonly minutes?: number
}

/**
 * The limits of one alarm, and where else it is sent.
 * @example { threshold: 90, topics: [pager] }
 */
export interface AlarmOptions extends AlarmSetting {
  /**
   * SNS topics for this alarm only. The topics for all alarms get a message too.
   * @example [pager]
   * @default - none
   */
  readonly topics?: ITopic[]
  /**
   * What else this alarm does when it goes off. The actions for all alarms run too.
   * @example [new LambdaAction(runbook)]
   * @default - none
   */
  readonly actions?: IAlarmAction[]
}

/**
 * Topics and actions for all alarms of a reaper.
 * @example { topics: [onCall] }
 */
export interface AlarmsDefaults {
  /**
   * The SNS topic that gets a message when an alarm goes off, and when it is over.
   * @example onCall
   * @default - none
   */
  readonly topic?: ITopic
  /**
   * SNS topics that get a message when an alarm goes off, and when it is over. `topic` may be given too.
   * @example [onCall, team]
   * @default - none
   */
  readonly topics?: ITopic[]
  /**
   * What each alarm does when it goes off.
   * @example [new LambdaAction(runbook)]
   * @default - none
   */
  readonly actions?: IAlarmAction[]
}

/**
 * The alarms of a reaper. Each alarm has a key with its name; `false` leaves the alarm out.
 * @example { topics: [onCall], Silent: { topics: [pager] }, Leak: false }
 */
export interface AlarmsOptions extends AlarmsDefaults {
  /**
   * Goes off when more than `threshold` % of the slots that ordinary roles can use are taken.
   * @example { threshold: 90, minutes: 5 }
   * @default { threshold: 80, minutes: 3 }
   */
  readonly SlotsUsed?: AlarmOptions | false
  /**
   * Goes off when every slot that ordinary roles can use is taken.
   * @example { topics: [pager] }
   * @default { threshold: 0, minutes: 1 }
   */
  readonly Exhausted?: AlarmOptions | false
  /**
   * Goes off when fewer than `threshold` sweeps a minute succeed.
   * @example { topics: [pager] }
   * @default { threshold: 1, minutes: 3 }
   */
  readonly Silent?: AlarmOptions | false
  /**
   * Goes off when more than `threshold` sessions a minute are reaped: an application leaks sessions as
   * fast as they are ended. In mode `observe` it counts the sessions that would be reaped.
   * @example { threshold: 50 }
   * @default { threshold: 20, minutes: 15 }
   */
  readonly Leak?: AlarmOptions | false
  /**
   * Goes off when the server refuses to end sessions that the policy selects.
   * @example { minutes: 10 }
   * @default { threshold: 0, minutes: 3 }
   */
  readonly Refused?: AlarmOptions | false
  /**
   * Goes off when a transaction is open for longer than `threshold` seconds.
   * @example { threshold: 3600 }
   * @default { threshold: 900, minutes: 1 }
   */
  readonly OldTransaction?: AlarmOptions | false
}

/**
 * The alarms that the construct created, by name.
 * @example reaper.alarms.Silent?.addAlarmAction(new SnsAction(pager))
 */
export type AlarmsByName = { readonly [Name in AlarmName]?: Alarm }
