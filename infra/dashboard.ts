import { CfnOutput, Duration, Stack, Token } from 'aws-cdk-lib'
import {
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type GraphWidgetProps,
  type IAlarm,
  LogQueryVisualizationType,
  LogQueryWidget,
  MathExpression,
  Row,
} from 'aws-cdk-lib/aws-cloudwatch'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { ILogGroup } from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import type { TargetMetrics } from './alarms.ts'
import type { MetricName, ReaperMode } from './options.ts'

const FULL_WIDTH = 24
const HALF_WIDTH = 12
const THIRD_WIDTH = 8
const HEIGHT = 7
const MOST_NAME = 255
const FULL = [{ value: 100, label: 'full' }]

const LAST_VERDICTS = [
  'fields timestamp, message, user, database, application, client, state, ageSeconds, rule, why',
  'filter message in ["reaped", "would reap"]',
  'sort @timestamp desc',
  'limit 50',
]

/** How the policy matched. No graph shows a policy that matches no session, or a role that may end none. */
const POLICY_MATCHED = [
  'fields timestamp, report.mode, report.inScope, report.cannotSignal, report.unmatched.0, report.unmatched.1, report.rules.0.name, report.rules.0.matched, report.rules.0.due, report.rules.0.reaped, report.rules.1.name, report.rules.1.matched, report.rules.1.due, report.rules.1.reaped',
  'filter message = "sweep"',
  'sort @timestamp desc',
  'limit 20',
]

const WARNINGS = [
  'fields timestamp, level, message, target, why, path, user, application, sqlstate, kind, error',
  'filter message in ["scope meets no session", "cannot signal", "activity not tracked", "refused", "no policy given", "entry meets no session", "reaping does not help", "sweep failed", "metrics lost", "instance is leaving", "stays away in doubt"]',
  'sort @timestamp desc',
  'limit 20',
]

/** What only observing can show: whether the policy would have ended a session that was needed. */
const HINDSIGHT = [
  'fields timestamp, message, why, user, database, application, client, rule, idleSeconds.0, idleSeconds.1, wouldEnd, usedAgain, stillIdle',
  'filter message in ["observed", "used again"]',
  'sort message asc, @timestamp desc',
  'limit 50',
]

export interface ReaperDashboardProps {
  /**
   * The metrics of the target.
   * @example reaper.metrics
   */
  readonly metrics: TargetMetrics
  /**
   * The alarms whose states the dashboard shows at the top.
   * @example Object.values(reaper.alarms)
   */
  readonly alarms: IAlarm[]
  /**
   * The log group of the function.
   * @example reaper.logGroup
   */
  readonly logGroup: ILogGroup
  /**
   * The function that sweeps the target.
   * @example reaper.function
   */
  readonly sweep: IFunction
  /**
   * The mode of the function. In mode `observe` the dashboard also shows which sessions the policy would have
   * ended although they were used again later.
   * @example 'observe'
   * @default 'reap'
   */
  readonly mode?: ReaperMode
  /**
   * Whether the target is a whole cluster, whose instances the dashboard shows one by one.
   * @example true
   * @default false
   */
  readonly cluster?: boolean
}

/** The dashboard of one target: whether slots are free, which sessions take them, and what was reaped. */
export class ReaperDashboard extends Construct {
  readonly page: Dashboard

  /** @param props what the page shows */
  constructor(
    scope: Construct,
    id: string,
    { metrics, alarms, logGroup, sweep, mode, cluster = false }: ReaperDashboardProps,
  ) {
    super(scope, id)
    const dashboard = addDashboard(this, nameOf(metrics.target))
    this.page = dashboard
    if (alarms.length > 0) dashboard.addWidgets(alarmStates(alarms))
    for (const row of metrics.set === 'full' ? fullRows(metrics) : essentialRows(metrics)) {
      dashboard.addWidgets(row)
    }
    if (cluster && metrics.set === 'full') {
      for (const row of instanceRows(metrics)) dashboard.addWidgets(row)
    }
    dashboard.addWidgets(invocations(sweep))
    for (const [title, queryLines] of [
      ['Warnings', WARNINGS],
      ['How the policy matched, last sweeps', POLICY_MATCHED],
      ['Sessions last reaped, or that would be reaped', LAST_VERDICTS],
    ] as const) {
      dashboard.addWidgets(logTable(title, queryLines, logGroup))
    }
    if (mode === 'observe') {
      const title = 'Sessions that would have been reaped, and were used again'
      dashboard.addWidgets(logTable(title, HINDSIGHT, logGroup))
    }
  }
}

/**
 * CloudWatch allows 500 metrics in a widget, and 2500 in a dashboard. Each target has three here, and 500 is for
 * all of them together.
 */
const MOST_TARGETS = 150

/**
 * One dashboard for many targets. Beyond 150 targets there are several, since CloudWatch limits the metrics of a
 * dashboard: `Slotkeeper`, `Slotkeeper_2` and so on, with the targets in their order.
 */
export class OverviewDashboard extends Construct {
  constructor(scope: Construct, id: string, targets: TargetMetrics[]) {
    super(scope, id)
    for (let first = 0; first < targets.length; first += MOST_TARGETS) {
      const page = first / MOST_TARGETS + 1
      // The first page keeps the place that it had when there was only one.
      const place = page === 1 ? this : new Construct(this, `Page${page}`)
      const name = page === 1 ? 'Slotkeeper' : `Slotkeeper_${page}`
      const rows = overviewRows(targets.slice(first, first + MOST_TARGETS))
      addDashboard(place, name).addWidgets(...rows)
    }
  }
}

function overviewRows(targets: TargetMetrics[]): Row[] {
  const each = (name: MetricName, statistic?: string) =>
    targets.map((metrics) => metrics.of(name, statistic, metrics.target))
  return [
    new Row(
      graph({
        title: 'Slots used, %',
        left: each('SlotsUsedPercent'),
        leftAnnotations: FULL,
        width: FULL_WIDTH,
      }),
    ),
    new Row(
      graph({ title: 'Sessions reaped', left: each('SessionsReaped', 'Sum'), width: HALF_WIDTH }),
      graph({
        title: 'Sweeps that succeeded',
        left: each('SweepSucceeded', 'Sum'),
        width: HALF_WIDTH,
      }),
    ),
  ]
}

function essentialRows(metrics: TargetMetrics): Row[] {
  return [
    new Row(
      graph({
        title: 'Slots used, %',
        left: [metrics.of('SlotsUsedPercent')],
        leftAnnotations: FULL,
        width: HALF_WIDTH,
      }),
      graph({
        title: 'Sessions reaped',
        left: [metrics.of('SessionsReaped', 'Sum')],
        width: HALF_WIDTH,
      }),
    ),
  ]
}

function fullRows(metrics: TargetMetrics): Row[] {
  const max = metrics.of('SlotsMax', 'Minimum', 'all slots')
  const usable = new MathExpression({
    expression: 'max - reserved',
    usingMetrics: { max, reserved: metrics.of('SlotsReserved') },
    period: max.period,
    label: 'slots for ordinary roles',
  })
  return [
    new Row(
      graph({
        title: 'Slots',
        left: [metrics.of('SlotsUsed', 'Maximum', 'used'), usable, max],
        width: HALF_WIDTH,
      }),
      graph({
        title: 'Sessions by state',
        left: [
          metrics.of('SessionsActive', 'Maximum', 'active'),
          metrics.of('SessionsIdleInTransaction', 'Maximum', 'idle in transaction'),
          metrics.of('SessionsIdle', 'Maximum', 'idle'),
        ],
        stacked: true,
        width: HALF_WIDTH,
      }),
    ),
    new Row(
      graph({
        title: 'Reaped, opened, spared, refused',
        left: [
          metrics.of('SessionsReaped', 'Sum', 'reaped'),
          metrics.of('SessionsWouldReap', 'Sum', 'would be reaped'),
          metrics.of('SessionsOpened', 'Sum', 'opened'),
          metrics.of('SessionsSpared', 'Sum', 'spared'),
          metrics.of('ReapsRefused', 'Sum', 'refused'),
        ],
        width: THIRD_WIDTH,
      }),
      graph({
        title: 'Age of idle sessions, s',
        left: ['p50', 'p95', 'Maximum'].map((statistic) =>
          metrics.of('IdleAge', statistic, statistic),
        ),
        width: THIRD_WIDTH,
      }),
      graph({
        title: 'Duration of a sweep, ms',
        left: ['p50', 'Maximum'].map((statistic) =>
          metrics.of('SweepDuration', statistic, statistic),
        ),
        width: THIRD_WIDTH,
      }),
    ),
  ]
}

/** The instances of a cluster side by side. A new one appears by itself, since the graphs search for them. */
function instanceRows(metrics: TargetMetrics): Row[] {
  return [
    new Row(
      graph({
        title: 'Slots used of each instance, %',
        left: [metrics.ofInstances('SlotsUsedPercent')],
        leftAnnotations: FULL,
        width: HALF_WIDTH,
      }),
      graph({
        title: 'Sessions of each instance',
        left: [metrics.ofInstances('SlotsUsed')],
        width: HALF_WIDTH,
      }),
    ),
    new Row(
      graph({
        title: 'Sessions reaped on each instance',
        left: [metrics.ofInstances('SessionsReaped', 'Sum')],
        width: HALF_WIDTH,
      }),
      graph({
        title: 'Sweeps of each instance that succeeded',
        left: [metrics.ofInstances('SweepSucceeded', 'Sum')],
        width: HALF_WIDTH,
      }),
    ),
  ]
}

/** `Slotkeeper-TARGET`. CloudWatch allows letters, digits, - and _ in the name of a dashboard. */
function nameOf(target: string): string {
  return Token.isUnresolved(target)
    ? `Slotkeeper-${target}`
    : `Slotkeeper-${target.replaceAll(/[^\w-]/g, '-')}`.slice(0, MOST_NAME)
}

/** A dashboard, and its address among the outputs of the stack. */
function addDashboard(scope: Construct, dashboardName: string): Dashboard {
  const dashboard = new Dashboard(scope, 'Dashboard', { dashboardName })
  const { region } = Stack.of(scope)
  new CfnOutput(scope, 'Link', {
    description: `The dashboard ${dashboardName}`,
    value: `https://${region}.${consoleOf(region)}/cloudwatch/home?region=${region}#dashboards/dashboard/${dashboardName}`,
  })
  return dashboard
}

/** The host of the AWS console, which depends on the region's partition. */
function consoleOf(region: string): string {
  if (region.startsWith('cn-')) return 'console.amazonaws.cn'
  if (region.startsWith('us-gov-')) return 'console.amazonaws-us-gov.com'
  return 'console.aws.amazon.com'
}

/** Shows why the alarm `Silent` goes off. */
function invocations(sweep: IFunction): GraphWidget {
  const perMinute = { statistic: 'Sum', period: Duration.minutes(1) }
  return graph({
    title: 'Invocations of the function',
    left: [
      sweep.metricInvocations({ ...perMinute, label: 'all' }),
      sweep.metricErrors({ ...perMinute, label: 'failed' }),
      sweep.metricThrottles({ ...perMinute, label: 'throttled' }),
    ],
    width: FULL_WIDTH,
  })
}

function alarmStates(alarms: IAlarm[]): AlarmStatusWidget {
  return new AlarmStatusWidget({ title: 'Alarms', alarms, width: FULL_WIDTH })
}

function logTable(title: string, lines: readonly string[], logGroup: ILogGroup): LogQueryWidget {
  return new LogQueryWidget({
    title,
    logGroupNames: [logGroup.logGroupName],
    view: LogQueryVisualizationType.TABLE,
    queryLines: [...lines],
    width: FULL_WIDTH,
    height: HEIGHT,
  })
}

function graph(props: GraphWidgetProps): GraphWidget {
  return new GraphWidget({ ...props, height: HEIGHT, leftYAxis: { min: 0 } })
}
