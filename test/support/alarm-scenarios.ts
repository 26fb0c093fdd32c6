import { readFileSync } from 'node:fs'
import { App, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { describe, expect, test } from 'vitest'
import { SessionReaper } from '../../infra/index.ts'
import type { Mode } from '../../lambda/core/report.ts'
import { type AlarmProperties, type AlarmState, type Minute, replay } from './cloudwatch.ts'
import { OLD_S, old, type States } from './recorded-states.ts'
import { together } from './recording.ts'

type Alarms = Record<Mode, Record<string, AlarmProperties>>

/** The alarms of a deployment in each mode, by their names. */
export function alarmsOf(database: { host: string; cluster?: boolean }): Alarms {
  const inMode = (mode: Mode): Record<string, AlarmProperties> => {
    const stack = new Stack(new App(), 'Test', { env: { account: '1', region: 'eu-central-1' } })
    new SessionReaper(stack, 'Shop', {
      target: 'shop',
      database,
      auth: { secret: Secret.fromSecretNameV2(stack, 'Secret', 'reaper') },
      policy: old,
      mode,
      alarms: { OldTransaction: { threshold: OLD_S } },
    })
    return Object.fromEntries(
      Object.entries(Template.fromStack(stack).findResources('AWS::CloudWatch::Alarm')).map(
        ([id, { Properties }]) => [id.replace(/^ShopAlarms|[0-9A-F]{8}$/g, ''), Properties],
      ),
    )
  }
  return { reap: inMode('reap'), observe: inMode('observe') }
}

export const forMinutes = (count: number, minute: Minute): Minute[] => Array(count).fill(minute)
export const none: Minute = {}

/** What CloudWatch may ask for beyond the evaluation periods, and how late its data may be. */
const conditions = [1, 2, 4].flatMap((beyond) => [0, 1].map((late) => ({ beyond, late })))

/** Which alarms go off, each with the minutes at which it does. */
function paged(
  alarms: Record<string, AlarmProperties>,
  minutes: Minute[],
  given: { beyond: number; late: number },
): Record<string, number[]> {
  const went = Object.entries(alarms).map(([name, alarm]): [string, number[]] => {
    const states: AlarmState[] = ['INSUFFICIENT_DATA', ...replay(alarm, minutes, given)]
    const changes = states.flatMap((now, at) =>
      now === 'ALARM' && states[at - 1] !== 'ALARM' ? [at] : [],
    )
    return [name, changes]
  })
  return Object.fromEntries(went.filter(([, changes]) => changes.length > 0))
}

export type Row = [
  scenario: string,
  mode: Mode,
  minutes: () => Minute[],
  pages: Record<string, number>,
]

/** Each alarm that goes off does so once, at this minute of the scenario or the next one. */
export const scenariosOf = (state: States): Row[] => [
  ['healthy', 'reap', () => forMinutes(60, state.quiet), {}],
  ['healthy, observed', 'observe', () => forMinutes(60, state.quietObserved), {}],
  ['first deployment', 'reap', () => [...forMinutes(4, none), ...forMinutes(30, state.quiet)], {}],
  [
    'first deployment, whose sweeps fail',
    'reap',
    () => [...forMinutes(4, none), ...forMinutes(30, state.failing)],
    { Silent: 10 },
  ],
  [
    'first deployment, whose function does not start',
    'reap',
    () => [...forMinutes(4, none), ...forMinutes(30, state.unstarted)],
    { Silent: 10 },
  ],
  [
    'first deployment, without a way to CloudWatch',
    'reap',
    () => [...forMinutes(4, none), ...forMinutes(30, state.lost)],
    { Silent: 10 },
  ],
  [
    'jitter: a minute without a sweep, the next with two',
    'reap',
    () =>
      Array.from({ length: 12 }, () => [
        ...forMinutes(4, state.quiet),
        none,
        together(state.quiet, state.quiet),
      ]).flat(),
    {},
  ],
  [
    'a failover: two sweeps fail',
    'reap',
    () => [
      ...forMinutes(10, state.quiet),
      ...forMinutes(2, state.failing),
      ...forMinutes(20, state.quiet),
    ],
    {},
  ],
  [
    'every 20 s, and one of three fails',
    'reap',
    () => forMinutes(30, together(state.quiet, state.failing, state.quiet)),
    {},
  ],
  [
    'nearly full',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.nearlyFull)],
    { SlotsUsed: 13 },
  ],
  [
    'full, swept over a kept connection',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.fullKept)],
    { Exhausted: 11, SlotsUsed: 13 },
  ],
  [
    "full, swept through a walsender's slot",
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.fullBehind)],
    { Exhausted: 11, SlotsUsed: 13 },
  ],
  [
    'full, and no sweep gets in',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.lockedOut)],
    { Exhausted: 11, Silent: 14 },
  ],
  [
    'sweeps fail',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.failing)],
    { Silent: 14 },
  ],
  [
    'metrics are lost',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.lost)],
    { Silent: 14 },
  ],
  [
    'no sweep any more: stopped, throttled, or its rule is gone',
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(60, none)],
    { Silent: 14 },
  ],
  ['a leak', 'reap', () => forMinutes(30, state.leak), { Leak: 15 }],
  ['a leak, observed', 'observe', () => forMinutes(30, state.leakObserved), { Leak: 15 }],
  [
    'a large pool that stays, observed',
    'observe',
    () => [state.leakObserved, ...forMinutes(30, state.poolObserved)],
    {},
  ],
  ['a long pg_dump that the policy protects', 'reap', () => forMinutes(30, state.dump), {}],
  [
    "an application's transaction left open",
    'reap',
    () => [...forMinutes(10, state.quiet), ...forMinutes(20, state.openTransaction)],
    { OldTransaction: 11 },
  ],
  ["a superuser's long transaction", 'reap', () => forMinutes(30, state.superuser), {}],
  ['a long transaction out of scope', 'reap', () => forMinutes(30, state.outOfScope), {}],
  ['reaps are refused', 'reap', () => forMinutes(30, state.refused), { Refused: 3 }],
  [
    'reaps would be refused, observed',
    'observe',
    () => forMinutes(30, state.refusable),
    { Refused: 3 },
  ],
]

/** Replays each scenario through the alarms, and looks for it in the runbook. */
export function testScenarios(alarms: Alarms, scenarios: Row[]): void {
  describe.each(conditions)('with $beyond more data points, $late minutes late', (given) => {
    test.each(scenarios)('%s (%s)', (_, mode, minutes, pages) => {
      const went = paged(alarms[mode], minutes(), given)
      expect(Object.keys(went).sort()).toEqual(Object.keys(pages).sort())
      for (const [name, at] of Object.entries(pages)) {
        expect(went[name], name).toHaveLength(1)
        expect(went[name]?.[0], name).toBeGreaterThanOrEqual(at - given.late)
        expect(went[name]?.[0], name).toBeLessThanOrEqual(at + given.late)
      }
    })
  })

  test('docs/operations.md lists the same alarms for each scenario', () => {
    const documented = readFileSync('docs/operations.md', 'utf8')
    for (const [scenario, , , pages] of scenarios) {
      const names = Object.keys(pages).map((name) => `\`${name}\``)
      expect(documented).toContain(`| ${scenario} | ${names.join(', ') || 'none'} |`)
    }
  })
}
