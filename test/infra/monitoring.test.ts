import { readFileSync } from 'node:fs'
import { App, Stack } from 'aws-cdk-lib'
import type { Template } from 'aws-cdk-lib/assertions'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { describe, expect, test } from 'vitest'
import type { AlarmsOptions } from '../../infra/index.ts'
import { has, newStack, reaper } from '../support/reaper.ts'

describe('the alarms', () => {
  const alarmsOf = (template: Template) =>
    Object.fromEntries(
      Object.entries(template.findResources('AWS::CloudWatch::Alarm')).map(
        ([id, { Properties }]) => [id.replace(/^ShopAlarms|[0-9A-F]{8}$/g, ''), Properties],
      ),
    )

  test.each([
    ['SlotsUsed', 'SlotsUsedPercent', 'Maximum', 'GreaterThanThreshold', 80, 3, 'ignore'],
    ['Exhausted', 'Exhausted', 'Maximum', 'GreaterThanThreshold', 0, 1, 'notBreaching'],
    ['Leak', 'SessionsReaped', 'Sum', 'GreaterThanThreshold', 20, 15, 'notBreaching'],
    ['Refused', 'ReapsRefused', 'Sum', 'GreaterThanThreshold', 0, 3, 'notBreaching'],
    [
      'OldTransaction',
      'OldestTransactionAge',
      'Maximum',
      'GreaterThanThreshold',
      900,
      1,
      'notBreaching',
    ],
  ])(
    '%s',
    (name, MetricName, Statistic, ComparisonOperator, Threshold, minutes, TreatMissingData) => {
      expect(alarmsOf(reaper().template)[name]).toMatchObject({
        MetricName,
        Statistic,
        ComparisonOperator,
        Threshold,
        EvaluationPeriods: minutes,
        DatapointsToAlarm: minutes,
        Period: 60,
        TreatMissingData,
        AlarmDescription: expect.stringMatching(/^Shop: .{40,}/),
      })
    },
  )

  test('Silent uses the metrics of Lambda itself', () => {
    expect(alarmsOf(reaper().template).Silent).toMatchObject({
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 1,
      EvaluationPeriods: 6,
      DatapointsToAlarm: 4,
      TreatMissingData: 'ignore',
      AlarmDescription: expect.stringContaining('for 3 to 4 minutes'),
      Metrics: expect.arrayContaining([
        expect.objectContaining({
          MetricStat: expect.objectContaining({
            Period: 60,
            Metric: expect.objectContaining({ MetricName: 'Errors', Namespace: 'AWS/Lambda' }),
          }),
        }),
      ]),
    })
  })

  test.each(['full', 'essential'] as const)(
    'in mode observe, Leak counts the sessions that would be reaped (%s)',
    (metricSet) => {
      const alarms = alarmsOf(reaper({ mode: 'observe', metricSet }).template)
      expect(alarms.Leak?.MetricName).toBe(metricSet === 'full' ? 'SessionsWouldReap' : undefined)
    },
  )

  test.each<[AlarmsOptions, string]>([
    [{ Leak: { minutes: 0 } }, 'Leak.minutes: expected a whole number from 1 to 1437'],
    [
      { Silent: { minutes: 1438 } },
      'Silent.minutes: expected a whole number from 1 to 1437, found 1438',
    ],
    [{ Leak: { threshold: Number.NaN } }, 'Leak.threshold: expected a number'],
  ])('%o is refused', (alarms, said) => {
    expect(() => reaper({ alarms })).toThrow(`Test/Shop: alarms.${said}`)
  })

  test('have the default thresholds that docs/operations.md lists', () => {
    const table =
      readFileSync('docs/operations.md', 'utf8').split('| alarm | goes off | `threshold`')[1] ?? ''
    const documented = [...table.matchAll(/^\| `(\w+)` \| .* \| (\d+) \| (\d+) \|$/gm)].map(
      ([, name = '', threshold, minutes]) => [name, Number(threshold), Number(minutes)] as const,
    )
    const alarms = alarmsOf(reaper().template)
    expect(documented.map(([name]) => name).sort()).toEqual(Object.keys(alarms).sort())
    for (const [name, threshold, minutes] of documented) {
      const least = name === 'Silent' ? minutes + 1 : minutes
      expect(alarms[name]).toMatchObject({ Threshold: threshold, DatapointsToAlarm: least })
    }
  })

  test('can be left out one by one', () => {
    const names = Object.keys(alarmsOf(reaper({ alarms: { Leak: false } }).template))
    expect(names).toContain('Silent')
    expect(names).not.toContain('Leak')
  })

  test('take the given thresholds and topic', () => {
    const stack = newStack()
    const topic = new Topic(stack, 'Topic')
    const { template } = reaper(
      {
        alarms: {
          topic,
          SlotsUsed: { threshold: 70 },
          Leak: { threshold: 5, minutes: 30 },
          OldTransaction: { threshold: 3600 },
        },
      },
      stack,
    )
    const alarms = alarmsOf(template)
    expect([
      alarms.SlotsUsed.Threshold,
      alarms.Leak.Threshold,
      alarms.OldTransaction.Threshold,
    ]).toEqual([70, 5, 3600])
    expect(alarms.Leak).toMatchObject({ EvaluationPeriods: 30, DatapointsToAlarm: 30 })
    expect(alarms.Leak.AlarmDescription).toContain(
      'more than 5 sessions a minute, in each of 30 minutes',
    )
    for (const { AlarmActions, OKActions } of Object.values(alarms))
      expect([AlarmActions, OKActions]).toEqual([[expect.anything()], [expect.anything()]])
  })

  test('need only the essential metrics when the metric set is essential', () => {
    expect(Object.keys(alarmsOf(reaper({ metricSet: 'essential' }).template)).sort()).toEqual([
      'Exhausted',
      'Leak',
      'Silent',
      'SlotsUsed',
    ])
  })

  test('can be left out together with the dashboard', () => {
    const { template } = reaper({ alarms: false, dashboard: false })
    expect(Object.keys(template.findResources('AWS::CloudWatch::Alarm'))).toHaveLength(0)
    expect(Object.keys(template.findResources('AWS::CloudWatch::Dashboard'))).toHaveLength(0)
  })
})

test.each([
  [
    'eu-central-1',
    'https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1',
  ],
  ['cn-north-1', 'https://cn-north-1.console.amazonaws.cn/cloudwatch/home?region=cn-north-1'],
  [
    'us-gov-west-1',
    'https://us-gov-west-1.console.amazonaws-us-gov.com/cloudwatch/home?region=us-gov-west-1',
  ],
])('the dashboard has a name, and its URL in %s is an output', (region, page) => {
  const stack = new Stack(new App(), 'Test', { env: { account: '111122223333', region } })
  const auth = { secret: Secret.fromSecretNameV2(stack, 'Own', 'shop/slotkeeper') }
  const { template } = reaper({ target: 'my shop', auth }, stack)
  has(template, 'AWS::CloudWatch::Dashboard', { DashboardName: 'Slotkeeper-my-shop' })
  expect(Object.values(template.findOutputs('*'))).toContainEqual(
    expect.objectContaining({ Value: `${page}#dashboards/dashboard/Slotkeeper-my-shop` }),
  )
})

test('the dashboard shows slots, sessions, ages, reaps, durations, reaped sessions and alarms', () => {
  const [dashboard] = Object.values(reaper().template.findResources('AWS::CloudWatch::Dashboard'))
  const body = JSON.stringify(dashboard?.Properties.DashboardBody)
  for (const shown of [
    'SlotsUsed',
    'max - reserved',
    'SessionsIdleInTransaction',
    'SessionsReaped',
    'IdleAge',
    'p95',
    'SweepDuration',
    'Sessions last reaped, or that would be reaped',
    'would reap',
    'scope meets no session',
    'activity not tracked',
    'cannot signal',
    'report.inScope',
    'Alarms',
  ]) {
    expect(body).toContain(shown)
  }
})

test.each([
  ['observe', true],
  ['reap', false],
] as const)('in mode %s the dashboard shows what was used again: %s', (mode, shows) => {
  const { template } = reaper({ mode, policy: 'incident' })
  const [dashboard] = Object.values(template.findResources('AWS::CloudWatch::Dashboard'))
  const body = JSON.stringify(dashboard?.Properties.DashboardBody)
  expect(body.includes('Sessions that would have been reaped, and were used again')).toBe(shows)
  expect(body.includes('used again')).toBe(shows)
})
