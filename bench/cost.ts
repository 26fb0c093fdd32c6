import { EXAMPLE_KEYS, startAws } from '../stand-ins/aws.ts'
import { startLambda } from '../stand-ins/lambda.ts'
import { APP, type BenchServer, benchServer, REAPER, threadsCpuMs } from './server.ts'
import { brief } from './statistics.ts'
import type { Table } from './table.ts'
import { serveTls } from './tls.ts'

export const MINUTES = 43_200
const SWEEPS = 40
const SESSIONS = 50
const MEMORY_MB = 128
/** A function with this much memory gets one vCPU. With less memory it gets a proportional share. */
const VCPU_MB = 1_769
/** An assumption, ms: one round trip to an AWS API in the region, and one more for TLS. */
const AWS_REQUEST_MS = 20

/** List prices of us-east-1 in USD, without free tiers. */
export const PRICE = {
  metricMonth: 0.3,
  alarmMonth: 0.1,
  putRequest: 0.01 / 1_000,
  functionRequest: 0.2 / 1_000_000,
  /** For arm64. */
  functionGbSecond: 0.0000133334,
  logGb: 0.5,
}

/** What the function does in one minute. */
type Minute = { metrics: number; puts: number; logBytes: number; billedMs: number }

/** The cost of one target in a month, computed from what the built function does in a minute. */
export async function cost(): Promise<Table> {
  const db = await benchServer({})
  try {
    const full = await measure(db, {})
    const essential = await measure(db, {
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
      ['PutMetricData', ({ minute }) => MINUTES * minute.puts * PRICE.putRequest],
      ['function', ({ minute }) => functionCost(minute)],
      ['log', ({ minute }) => (MINUTES * minute.logBytes * PRICE.logGb) / 1e9],
    ]
    return {
      title: `USD a month for one target that is swept each minute, at list prices of us-east-1. Measured in a minute with nothing to reap and ${SESSIONS} sessions: ${told(full)}; essential: ${told(essential)}. Billed time: the CPU time, at ${MEMORY_MB} MB's share of a vCPU, and ${AWS_REQUEST_MS} ms for each request to AWS`,
      columns: ['', 'full, PutMetricData', 'essential, log lines'],
      rows: [
        ...parts.map(([name, of]) => row(name, of)),
        row('**together**', (option) => parts.reduce((sum, [, of]) => sum + of(option), 0)),
      ],
    }
  } finally {
    await db.stop()
  }
}

function functionCost({ billedMs }: Minute): number {
  const gbSeconds = (billedMs / 1000) * (MEMORY_MB / 1024)
  return MINUTES * (PRICE.functionRequest + gbSeconds * PRICE.functionGbSecond)
}

function told({ metrics, logBytes, billedMs }: Minute): string {
  return `${metrics} metrics, ${Math.round(logBytes)} bytes of log, ${Math.round(billedMs)} ms billed`
}

async function measure(db: BenchServer, options: Record<string, string>): Promise<Minute> {
  const { user: username, password } = REAPER
  const aws = await startAws({ bench: JSON.stringify({ username, password }) })
  const held = await db.hold(SESSIONS)
  const lambda = await startLambda({
    bundle: 'dist/lambda',
    bootstrap: 'dist/bootstrap.mjs',
    timeoutMs: 30_000,
    environment: {
      ...EXAMPLE_KEYS,
      ...options,
      AWS_ENDPOINT_URL: aws.url,
      SLOTKEEPER_TARGET: 'bench',
      SLOTKEEPER_MODE: 'reap',
      SLOTKEEPER_POLICY: JSON.stringify({
        scope: { users: [APP.user] },
        rules: [{ name: 'old', state: 'idle', olderThan: '24h' }],
      }),
      SLOTKEEPER_SECRET_ARN: 'bench',
      SLOTKEEPER_HOST: 'localhost',
      SLOTKEEPER_PORT: String(db.address.port),
      SLOTKEEPER_CA_FILE: await serveTls(db.admin),
    },
  })
  try {
    const cpuMs = () => threadsCpuMs(lambda.pid as number)
    let startedWith = 0
    for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
      const { ok, payload } = await lambda.invoke({})
      if (!ok) throw new Error(JSON.stringify(payload))
      if (sweep === 0) startedWith = cpuMs()
    }
    const sweepCpuMs = (cpuMs() - startedWith) / (SWEEPS - 1)
    const logged = lambda.lines.filter((line) => line.startsWith('{')).join('\n').length
    const puts = aws.puts.length / SWEEPS
    const metrics = aws.puts.at(-1)?.MetricData.length ?? metricsOf(lambda.lines)
    const share = MEMORY_MB / VCPU_MB
    const billedMs = brief(sweepCpuMs / share + puts * AWS_REQUEST_MS)
    return { metrics, puts, logBytes: logged / SWEEPS, billedMs }
  } finally {
    await lambda.stop()
    await held.release()
    await aws.close()
  }
}

/** The number of metrics in the last line in the embedded metric format. */
function metricsOf(lines: string[]): number {
  const line = lines.findLast((line) => line.includes('_aws')) ?? '{}'
  return JSON.parse(line)._aws.CloudWatchMetrics[0].Metrics.length
}
