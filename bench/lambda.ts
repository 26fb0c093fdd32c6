import { CLIENT_OPTIONS } from '../lambda/aws/client-options.ts'
import { CONNECT_TIMEOUT_MS } from '../lambda/postgres/gate.ts'
import { AWS_TRIP_MS, DATABASE_TRIP_MS } from './cloud.ts'
import type { Run } from './function.ts'
import { functionCost, gbSeconds, SWEEPS_A_MONTH } from './prices.ts'
import { APP } from './server.ts'
import { brief, median, spread } from './statistics.ts'
import type { Table } from './table.ts'
import { type RunCase, underShare } from './under-share.ts'
import { longest } from './waits.ts'

const MEMORY_MB = [128, 256, 512]
const CROWDS = [100, 1000]
const STARTS = 5
const WARM_SWEEPS = 4

/** The usual minute: the function may reap, and no session is old enough. */
export const NOTHING_TO_REAP = {
  SLOTKEEPER_MODE: 'reap',
  SLOTKEEPER_POLICY: JSON.stringify({
    scope: { users: [APP.user] },
    rules: [{ name: 'old', state: 'idle', olderThan: '24h' }],
  }),
}

/** What the function has to do, by its settings. */
const WORK: [string, Record<string, string>][] = [
  ['nothing to reap', NOTHING_TO_REAP],
  ['observe: would reap all', { SLOTKEEPER_MODE: 'observe', SLOTKEEPER_POLICY: 'incident' }],
]

const { connectionTimeout, requestTimeout } = CLIENT_OPTIONS.requestHandler
const HEAD = {
  title: `The built function at its share of a processor (memory / 1,769 MB of one vCPU), Node.js 24, with TLS everywhere, ${AWS_TRIP_MS} ms of network to AWS and ${DATABASE_TRIP_MS} ms to the database; median (quartiles) of ${STARTS} starts with ${WARM_SWEEPS} warm sweeps each. USD: the function alone, ${SWEEPS_A_MONTH.toLocaleString('en-US')} warm sweeps. The last three: the longest wait in all these sweeps for what has a time-out, in brackets`,
  columns: [
    'memory, MB',
    'sessions',
    'sweep',
    'first, ms',
    'warm, ms',
    'GB-s, warm',
    'USD a month',
    `connect to AWS, ms [${connectionTimeout}]`,
    `request to AWS, ms [${requestTimeout}]`,
    `login or query, ms [${CONNECT_TIMEOUT_MS}]`,
  ],
}

/** The first sweep and those after it at the share of a processor that Lambda gives, and what they cost. */
export function lambda(): Promise<Table> {
  return underShare(HEAD, Math.max(...CROWDS) + 50, async ({ db }, run) => {
    const rows: Table['rows'] = []
    for (const crowd of CROWDS) {
      const held = await db.hold(crowd)
      for (const memoryMb of MEMORY_MB) {
        for (const [work, settings] of WORK) {
          const runs = await measure(run, settings, memoryMb)
          rows.push([memoryMb, crowd, work, ...figures(runs, memoryMb)])
        }
      }
      await held.drop()
      await db.untilNoneIsLeft()
    }
    return { ...HEAD, rows }
  })
}

async function measure(run: RunCase, settings: Record<string, string>, memoryMb: number) {
  const runs: Run[] = []
  while (runs.length < STARTS) runs.push(await run(settings, memoryMb, WARM_SWEEPS))
  return runs
}

function figures(runs: Run[], memoryMb: number): (string | number)[] {
  const warm = runs.flatMap(({ warmMs }) => warmMs)
  const waits = runs.flatMap(({ waits }) => waits)
  const warmMs = median(warm)
  return [
    spread(runs.map(({ firstMs }) => firstMs)),
    spread(warm),
    brief(gbSeconds(warmMs, memoryMb)),
    functionCost(warmMs, memoryMb).toFixed(3),
    // The proxy accepts at once, without the round trip that a connection takes.
    Math.round(longest(waits, connectionTimeout) + AWS_TRIP_MS),
    Math.round(longest(waits, requestTimeout)),
    Math.round(longest(waits, CONNECT_TIMEOUT_MS)),
  ]
}
