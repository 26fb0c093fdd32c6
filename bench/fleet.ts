import { readFileSync } from 'node:fs'
import type { Table } from './table.ts'

const FLEETS = [1, 10, 100, 1_000]

/** List prices of us-east-1 in USD: CloudWatch's metrics by their number in the account, and its dashboards. */
const METRIC_TIERS = [
  { upTo: 10_000, price: 0.3 },
  { upTo: 250_000, price: 0.1 },
  { upTo: 1_000_000, price: 0.05 },
]
const DASHBOARD = 3
const FREE_DASHBOARDS = 3
/** As the overview divides its targets. */
const TARGETS_OF_A_PAGE = 150

/** The cost of a fleet in a month, computed from the last result of the bench `cost`. */
export async function fleet(): Promise<Table> {
  const file = new URL('results/cost.json', import.meta.url)
  const { rows } = JSON.parse(readFileSync(file, 'utf8')) as Table
  const [full, essential] = [1, 2].map((column) => {
    const of = (part: string) => Number(rows.find(([name]) => name === part)?.[column])
    const others = ['alarms', 'PutMetricData', 'function', 'log'].map(of)
    return {
      metrics: Math.round(of('metrics') / (METRIC_TIERS[0]?.price ?? 1)),
      others: others.reduce((sum, part) => sum + part, 0),
    }
  }) as [Target, Target]
  return {
    title:
      'USD a month for a fleet of targets that are swept each minute, with a dashboard for each and their overview, or without dashboards. From the costs of one target above, and with the price of metrics by their number: 0.30 up to 10,000, then 0.10',
    columns: ['targets', 'full', 'full, no dashboards', 'essential, no dashboards'],
    rows: FLEETS.map((targets) => [
      targets.toLocaleString('en'),
      dollars(costOf(full, targets) + dashboards(targets)),
      dollars(costOf(full, targets)),
      dollars(costOf(essential, targets)),
    ]),
  }
}

/** One target: the number of its metrics, and what everything else costs in a month. */
type Target = { metrics: number; others: number }

function costOf({ metrics, others }: Target, targets: number): number {
  return metricsCost(metrics * targets) + others * targets
}

function metricsCost(metrics: number): number {
  return METRIC_TIERS.reduce((sum, { upTo, price }, tier) => {
    const from = METRIC_TIERS[tier - 1]?.upTo ?? 0
    return sum + Math.max(0, Math.min(metrics, upTo) - from) * price
  }, 0)
}

function dashboards(targets: number): number {
  const overview = targets > 1 ? Math.ceil(targets / TARGETS_OF_A_PAGE) : 0
  return Math.max(0, targets + overview - FREE_DASHBOARDS) * DASHBOARD
}

function dollars(amount: number): string {
  return amount.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
}
