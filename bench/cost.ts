import { MEMORY_MB } from '../infra/limits.ts'
import type { Cloud } from './cloud.ts'
import { NOTHING_TO_REAP } from './lambda.ts'
import { functionCost, PRICE, SWEEPS_A_MONTH } from './prices.ts'
import { median } from './statistics.ts'
import type { Table } from './table.ts'
import { type RunCase, underShare } from './under-share.ts'

const SWEEPS = 30
const SESSIONS = 50

const HEAD = {
  title: 'USD a month for one target that is swept each minute, at list prices of us-east-1',
  columns: ['', 'full, PutMetricData', 'essential, log lines'],
}

/** What the function does in one minute. */
type Minute = { metrics: number; puts: number; logBytes: number; billedMs: number }

/** The cost of one target in a month, computed from what the built function does in a minute. */
export function cost(): Promise<Table> {
  return underShare(HEAD, SESSIONS + 50, async (cloud, run) => {
    await cloud.db.hold(SESSIONS)
    const full = await measure(cloud, run, {})
    const essential = await measure(cloud, run, {
      SLOTKEEPER_METRICS: 'emf',
      SLOTKEEPER_METRIC_SET: 'essential',
    })
    // CloudWatch charges for each metric of an alarm. `Silent` has two metrics.
    const options = [
      { minute: full, alarms: 7 },
      { minute: essential, alarms: 5 },
    ]
    const row = (name: string, of: (option: (typeof options)[number]) => number) => [
      name,
      ...options.map((option) => of(option).toFixed(2)),
    ]
    const parts: [string, (option: (typeof options)[number]) => number][] = [
      ['metrics', ({ minute }) => minute.metrics * PRICE.metricMonth],
      ['alarms', ({ alarms }) => alarms * PRICE.alarmMonth],
      ['PutMetricData', ({ minute }) => SWEEPS_A_MONTH * minute.puts * PRICE.putRequest],
      ['function', ({ minute }) => functionCost(minute.billedMs, MEMORY_MB)],
      ['log', ({ minute }) => (SWEEPS_A_MONTH * minute.logBytes * PRICE.logGb) / 1e9],
    ]
    return {
      ...HEAD,
      title: `${HEAD.title}. Measured in a minute with nothing to reap and ${SESSIONS} sessions: ${told(full)}; essential: ${told(essential)}. Billed time: the median of ${SWEEPS - 1} warm sweeps at ${MEMORY_MB} MB's share of a processor, with the network of the table of the function`,
      rows: [
        ...parts.map(([name, of]) => row(name, of)),
        row('**together**', (option) => parts.reduce((sum, [, of]) => sum + of(option), 0)),
      ],
    }
  })
}

function told({ metrics, logBytes, billedMs }: Minute): string {
  return `${metrics} metrics, ${Math.round(logBytes)} bytes of log, ${billedMs} ms billed`
}

async function measure(
  { aws }: Cloud,
  run: RunCase,
  options: Record<string, string>,
): Promise<Minute> {
  const before = aws.puts.length
  const { warmMs, lines } = await run({ ...NOTHING_TO_REAP, ...options }, MEMORY_MB, SWEEPS - 1)
  const puts = aws.puts.slice(before)
  return {
    metrics: puts.at(-1)?.MetricData.length ?? metricsOf(lines),
    puts: puts.length / SWEEPS,
    logBytes: lines.filter((line) => line.startsWith('{')).join('\n').length / SWEEPS,
    billedMs: Math.ceil(median(warmMs)),
  }
}

/** The number of metrics in the last line in the embedded metric format. */
function metricsOf(lines: string[]): number {
  const line = lines.findLast((line) => line.includes('_aws')) ?? '{}'
  return JSON.parse(line)._aws.CloudWatchMetrics[0].Metrics.length
}
