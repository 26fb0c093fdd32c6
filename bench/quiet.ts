import { connect } from '../lambda/postgres/connect.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from '../lambda/postgres/gate.ts'
import { type SweepResult, sweep } from '../lambda/sweep.ts'
import { startProxy } from '../stand-ins/proxy.ts'
import { policy } from '../test/support/session.ts'
import { type BenchServer, benchServer, processCpuMs, REAPER } from './server.ts'
import { brief, median, pairedRatio, spread } from './statistics.ts'
import type { Table } from './table.ts'

const CROWDS = [50, 500, 5000]
const REPEATS = 100
/** V8 compiles code that runs often, and a function lives for hours. So the code must be warm. */
const WARM_UP = 200
const COUNT = 'select count(*) from pg_stat_activity'
const QUERY_MS = 10_000
const reapsNone = policy({ rules: [{ name: 'old', state: 'idle', olderThan: '24h' }] })

/** The cost of one action: wall time, and CPU time of both sides, ms. */
type Cost = { ms: number; serverMs: number; functionMs: number }

/** An action to measure, and the server process that works for it. */
type Doing = { backend: number; act: () => Promise<unknown> }

/** The usual minute: a sweep with nothing to do, compared with a bare count over an open connection. */
export async function quiet(): Promise<Table> {
  const db = await benchServer({ max_connections: String(Math.max(...CROWDS) + 50) })
  const rows: Table['rows'] = []
  try {
    for (const crowd of CROWDS) {
      const held = await db.hold(crowd)
      rows.push(...(await measureCrowd(db, crowd)))
      await held.drop()
      await db.untilNoneIsLeft()
    }
  } finally {
    await db.stop()
  }
  return {
    title: `A sweep with nothing to reap, over the kept connection; median (quartiles) of ${REPEATS} rounds; the ratio is the median of the ratios of each round`,
    columns: [
      'sessions',
      '',
      'ms',
      'ratio',
      'server CPU, ms',
      'function CPU, ms',
      'round trips',
      'bytes read',
    ],
    rows,
  }
}

async function measureCrowd(db: BenchServer, crowd: number): Promise<Table['rows']> {
  const network = await startProxy(db.address)
  const traffic = { trips: 0, bytes: 0 }
  network.judge = (chunk, from) => {
    if (from === 'client') traffic.trips += 1
    else traffic.bytes += chunk.length
    return 'pass'
  }
  const gate = db.gate()
  const gateThrough = createGate(
    async () => ({ ...db.address, ...REAPER, port: network.port }),
    false,
  )
  const link = await connect({ ...db.address, ...REAPER }, false, 'client', QUERY_MS)
  try {
    const [[{ pid }]] = (await link.query('select pg_backend_pid() as pid', QUERY_MS)) as [
      [{ pid: number }],
    ]
    const ownPid = (await look(gate)).snapshot.ownPid
    const [count = [], swept = []] = await sideBySide([
      { backend: pid, act: () => link.query(COUNT, QUERY_MS) },
      { backend: ownPid, act: () => look(gate) },
    ])
    await look(gateThrough)
    Object.assign(traffic, { trips: 0, bytes: 0 })
    await look(gateThrough)
    const row = (name: string, costs: Cost[]) => {
      const of = (field: keyof Cost, list = costs) => list.map((cost) => cost[field])
      return [
        crowd,
        name,
        spread(of('ms')),
        pairedRatio(of('ms'), of('ms', count)),
        brief(median(of('serverMs'))),
        brief(median(of('functionMs'))),
      ]
    }
    return [
      [...row('`SELECT count(*)`', count), 1, '-'],
      [...row('**a sweep**', swept), traffic.trips, traffic.bytes],
    ]
  } finally {
    await link.close()
    await gate.close()
    await gateThrough.close()
    await network.close()
  }
}

export function look(gate: Gate): Promise<SweepResult> {
  return sweep(gate, { target: 'bench', policy: reapsNone, mode: 'reap' }, deadlineIn(SWEEP_MS))
}

/** The actions take turns, so that other load on the machine affects all of them alike. */
async function sideBySide(doings: Doing[]): Promise<Cost[][]> {
  for (let round = 0; round < WARM_UP; round += 1) for (const { act } of doings) await act()
  const samples = doings.map((): Cost[] => [])
  for (let round = 0; round < REPEATS; round += 1) {
    for (const [index, doing] of doings.entries()) samples[index]?.push(await costOf(doing))
  }
  return samples
}

async function costOf({ backend, act }: Doing): Promise<Cost> {
  const serverBefore = processCpuMs(backend)
  const functionBefore = process.cpuUsage()
  const started = performance.now()
  await act()
  const ms = performance.now() - started
  const { user, system } = process.cpuUsage(functionBefore)
  return {
    ms,
    serverMs: processCpuMs(backend) - serverBefore,
    functionMs: (user + system) / 1000,
  }
}
