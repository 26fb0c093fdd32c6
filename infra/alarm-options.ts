import type { Alarm, IAlarmAction } from 'aws-cdk-lib/aws-cloudwatch'
import type { ITopic } from 'aws-cdk-lib/aws-sns'

/**
 * The name of an alarm.
 * @example 'Silent'
 */
export type AlarmName = Exclude<keyof AlarmsOptions, keyof AlarmsDefaults>

/**
 * When one alarm goes off.
 * @example { threshold: 90, minutes: 5 }
 */
export interface AlarmSetting {
  /**
   * The value beyond which the alarm goes off, in the unit of its metric.
   * @example 90
   * @default - as docs/operations.md says
   */
  readonly threshold?: number
  /**
   * How many minutes in a row, from 1 to 1437.
   * @example 5
   * @default - as docs/operations.md says
   */
  readonly minutes?: number
}

/**
 * When one alarm goes off, and who else is told.
 * @example { threshold: 90, topics: [pager] }
 */
export interface AlarmOptions extends AlarmSetting {
  /**
   * Topics of this alarm alone, beside those of all.
   * @example [pager]
   * @default - none
   */
  readonly topics?: ITopic[]
  /**
   * Actions of this alarm alone, when it goes off.
   * @example [new LambdaAction(runbook)]
   * @default - none
   */
  readonly actions?: IAlarmAction[]
}

/**
 * What holds for all alarms of a reaper.
 * @example { topics: [onCall] }
 */
export interface AlarmsDefaults {
  /**
   * Told when an alarm goes off, and when it is over.
   * @example onCall
   * @default - nobody
   */
  readonly topic?: ITopic
  /**
   * As `topic`, for several.
   * @example [onCall, team]
   * @default - none
   */
  readonly topics?: ITopic[]
  /**
   * What each alarm does when it goes off.
   * @example [new LambdaAction(runbook)]
   * @default - nothing
   */
  readonly actions?: IAlarmAction[]
}

/**
 * The alarms of a reaper, each by its name: `false` leaves it out.
 * @example { topics: [onCall], Silent: { topics: [pager] }, Leak: false }
 */
export interface AlarmsOptions extends AlarmsDefaults {
  /**
   * Over 80 % of the slots that ordinary roles can use.
   * @example { threshold: 90, minutes: 5 }
   * @default - as docs/operations.md says
   */
  readonly SlotsUsed?: AlarmOptions | false
  /**
   * Every slot is taken.
   * @example { topics: [pager] }
   * @default - as docs/operations.md says
   */
  readonly Exhausted?: AlarmOptions | false
  /**
   * No sweep succeeded.
   * @example { topics: [pager] }
   * @default - as docs/operations.md says
   */
  readonly Silent?: AlarmOptions | false
  /**
   * Sessions come back as fast as they are reaped.
   * @example { threshold: 50 }
   * @default - as docs/operations.md says
   */
  readonly Leak?: AlarmOptions | false
  /**
   * The server refused to end sessions that the policy condemns.
   * @example { minutes: 10 }
   * @default - as docs/operations.md says
   */
  readonly Refused?: AlarmOptions | false
  /**
   * A transaction is open for long; the threshold is in seconds.
   * @example { threshold: 3600 }
   * @default - as docs/operations.md says
   */
  readonly OldTransaction?: AlarmOptions | false
}

/**
 * The alarms that were made, each by its name.
 * @example reaper.alarms.Silent?.addAlarmAction(new SnsAction(pager))
 */
export type AlarmsByName = { readonly [Name in AlarmName]?: Alarm }
