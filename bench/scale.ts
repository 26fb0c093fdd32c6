import { judge } from '../lambda/core/judge.ts'
import type { PolicyInput } from '../lambda/core/policy.ts'
import { makeReport } from '../lambda/core/report.ts'
import type { Session } from '../lambda/core/session.ts'
import { policy, session, snapshot } from '../test/support/session.ts'
import { brief, median, spread } from './statistics.ts'
import type { Table } from './table.ts'

const CROWDS = [1_000, 10_000]
const RULES = 200
const PROTECTIONS = 1_000
const POOLS = 50
const REPEATS = 7

const few: PolicyInput = {
  protect: [{ applications: ['pg_dump'] }],
  rules: [{ name: 'idle', state: 'idle', olderThan: '30s' }],
}

/** None of these entries matches a session, except the last rule, so that every entry is tried. */
const many: PolicyInput = {
  protect: Array.from({ length: PROTECTIONS }, (_, n) => ({
    users: [`other_${n}_*`],
    clients: [`10.9.${n % 256}.0/24`],
  })),
  rules: [
    ...Array.from({ length: RULES - 1 }, (_, n) => ({
      name: `rule ${n}`,
      state: 'idle' as const,
      olderThan: '30s',
      match: { applications: [`other-${n}-*`] },
    })),
    { name: 'idle', state: 'idle', olderThan: '30s' },
  ],
}

/** Decides and reports on simulated snapshots, with a policy of usual size and one of absurd size. */
export async function scale(): Promise<Table> {
  const rows: Table['rows'] = []
  for (const [name, input] of [
    ['1 rule, 1 protection', few],
    [`${RULES} rules, ${PROTECTIONS} protections`, many],
  ] as const) {
    for (const pools of [POOLS, Number.POSITIVE_INFINITY]) {
      for (const crowd of CROWDS) rows.push([name, ...measure(input, crowd, pools)])
    }
  }
  return {
    title: `Deciding on simulated snapshots; median (quartiles) of ${REPEATS} rounds`,
    columns: ['policy', 'sessions', 'pools', 'ms', 'us a session', 'memory, MiB'],
    rows,
  }
}

function measure(input: PolicyInput, crowd: number, pools: number): (string | number)[] {
  const rules = policy(input)
  const seen = snapshot(Array.from({ length: crowd }, (_, n) => sessionOf(n % pools)))
  const times: number[] = []
  const memory: number[] = []
  for (let round = 0; round <= REPEATS; round += 1) {
    global.gc?.()
    const before = process.memoryUsage().heapUsed
    const started = performance.now()
    const verdicts = judge(seen, rules)
    makeReport({
      target: 'bench',
      mode: 'observe',
      entry: 'warm',
      at: '',
      durationMs: 0,
      snapshot: seen,
      policy: rules,
      verdicts,
      outcomes: [],
    })
    if (round === 0) continue
    times.push(performance.now() - started)
    memory.push((process.memoryUsage().heapUsed - before) / 2 ** 20)
  }
  const ms = median(times)
  const shown = Math.min(pools, crowd)
  return [crowd, shown, spread(times), brief((ms / crowd) * 1000), brief(median(memory))]
}

function sessionOf(pool: number): Session {
  return session({ user: `app_${pool}`, client: `10.1.${pool >> 8}.${pool & 255}` })
}
