import * as v from 'valibot'
import { record, wholeFrom } from '../lambda/core/schema.ts'
import type { AlarmName, AlarmSetting } from './alarm-options.ts'

/**
 * CloudWatch evaluates at most one day (1440 minutes) of an alarm with a period of one minute. `Silent`
 * needs three of these minutes as slack.
 */
export const MOST_MINUTES = 1437

export const ALARM_NAMES = [
  'SlotsUsed',
  'Exhausted',
  'Silent',
  'Leak',
  'Refused',
  'OldTransaction',
] as const satisfies AlarmName[]

/** The settings of the alarms in `cdk.json`. `false` leaves an alarm out. */
export type AlarmSettings = { readonly [Name in AlarmName]?: false | AlarmSetting }

const settingSchema = record({
  threshold: v.optional(v.pipe(v.number('expected a number'), v.finite('expected a number'))),
  minutes: v.optional(
    v.pipe(wholeFrom(1), v.maxValue(MOST_MINUTES, `expected at most ${MOST_MINUTES}`)),
  ),
})

const alarmSchema = v.lazy(
  (input) =>
    (typeof input === 'boolean'
      ? v.literal(false, 'expected false, or an object with threshold, minutes')
      : settingSchema) as v.GenericSchema<false | v.InferOutput<typeof settingSchema>>,
)

/** Validates `AlarmSettings`. */
export const alarmsSchema = record(
  Object.fromEntries(ALARM_NAMES.map((name) => [name, v.optional(alarmSchema)])) as Record<
    AlarmName,
    v.OptionalSchema<typeof alarmSchema, undefined>
  >,
)

/** The settings of one target. What it does not set comes from the settings of all targets. */
export function settingsOf(common: AlarmSettings, own: AlarmSettings = {}): AlarmSettings {
  return Object.fromEntries(
    ALARM_NAMES.map((name) => {
      const setting = own[name] ?? common[name]
      return [name, setting === false ? false : { ...common[name], ...setting }]
    }),
  )
}
