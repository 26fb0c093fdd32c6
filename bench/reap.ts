import { setTimeout as pause } from 'node:timers/promises'
import { cron, driver, type Prepare, psql, serverless, slotkeeper } from './reapers.ts'
import { type BenchServer, benchServer, processCpuMs } from './server.ts'
import { brief, median, pairedRatio, spread } from './statistics.ts'
import type { Table } from './table.ts'

/** How many sessions are ended, and in how many rounds. The first round of each does not count. */
const CROWDS: { crowd: number; rounds: number }[] = [
  { crowd: 10, rounds: 21 },
  { crowd: 100, rounds: 15 },
  { crowd: 500, rounds: 9 },
  { crowd: 1000, rounds: 7 },
  { crowd: 2000, rounds: 5 },
  { crowd: 5000, rounds: 3 },
]
/** The methods, and the largest crowd that each one gets: some are only there to compare, and take long. */
const METHODS: { name: string; prepare: Prepare; upTo: number }[] = [
  { name: 'one statement, warm psql (the floor)', prepare: psql, upTo: 5000 },
  { name: 'one statement, warm `pg`', prepare: driver, upTo: 2000 },
  { name: '**Slotkeeper, warm**', prepare: slotkeeper, upTo: 5000 },
  { name: 'serverless-postgres, warm', prepare: serverless, upTo: 1000 },
  { name: 'the cron script, with a new psql each time', prepare: cron, upTo: 1000 },
]

/** How long the ends of sessions may take after the method is done, ms. */
const PATIENCE_MS = 120_000

/** One reap: until the first and the last client saw its socket close, ms; and CPU times, ms. */
type Sample = {
  ms: number
  firstMs: number
  backendMs: number
  clientsMs: number
  passes: number
}

/** The time until N idle sessions are gone, for each method. */
export async function reap(): Promise<Table> {
  const most = Math.max(...CROWDS.map(({ crowd }) => crowd))
  const db = await benchServer({ max_connections: String(most + 50) })
  const rows: Table['rows'] = []
  const floorsMs: number[] = []
  try {
    for (const { crowd, rounds } of CROWDS) {
      const measured = await measureAll(db, crowd, rounds)
      const floors = measured[0]?.samples ?? []
      floorsMs.push(median(floors.map(({ ms }) => ms)) / crowd)
      for (const { name, samples } of measured) rows.push(row(crowd, name, samples, floors))
    }
  } finally {
    await db.stop()
  }
  const rounds = CROWDS.map(({ rounds }) => rounds).join(', ')
  return {
    title: `Reaping N idle sessions, until the last client has seen its socket close; median (quartiles) of ${rounds} rounds; the ratio is the median of the ratios of each round`,
    columns: [
      'N',
      'method',
      'ms',
      'ratio to the floor',
      'first one gone, ms',
      "CPU of the method's server process, ms",
      "the clients' CPU, ms",
    ],
    rows,
    floorsMs,
  }
}

function row(crowd: number, name: string, samples: Sample[], floors: Sample[]) {
  const of = (field: keyof Sample, list = samples) => list.map((sample) => sample[field])
  const passes = Math.max(...of('passes'))
  const backendMs = median(of('backendMs'))
  return [
    crowd,
    passes > 1 ? `${name}, in ${passes} passes` : name,
    spread(of('ms')),
    pairedRatio(of('ms'), of('ms', floors)),
    spread(of('firstMs')),
    Number.isNaN(backendMs) ? '-' : brief(backendMs),
    brief(median(of('clientsMs'))),
  ]
}

/**
 * The methods take turns, so that other load on the machine affects all of them alike, and each round begins
 * with another one.
 */
async function measureAll(db: BenchServer, crowd: number, rounds: number) {
  const measured = METHODS.filter(({ upTo }) => crowd <= upTo).map((method) => ({
    ...method,
    samples: [] as Sample[],
  }))
  for (let round = 0; round <= rounds; round += 1) {
    const begin = round % measured.length
    for (const method of [...measured.slice(begin), ...measured.slice(0, begin)]) {
      const sample = await reapOnce(db, crowd, method.prepare)
      if (round > 0) method.samples.push(sample)
    }
  }
  return measured
}

/** Opens idle sessions and ends them. Nothing else asks the server anything meanwhile. */
export async function reapOnce(db: BenchServer, crowd: number, prepare: Prepare): Promise<Sample> {
  const held = await db.hold(crowd)
  const { reap, end, backend } = await prepare(db)
  const cpuMs = () => (backend === undefined ? Number.NaN : processCpuMs(backend))
  const cpuBefore = cpuMs()
  const started = process.hrtime.bigint()
  const reaping = reap()
  const passes = await reaping
  const { firstNs, lastNs, cpuMs: clientsMs } = await within(PATIENCE_MS, held.closed)
  const backendMs = cpuMs() - cpuBefore
  await end()
  await db.untilNoneIsLeft()
  const sinceStartMs = (ns: string) => Number(BigInt(ns) - started) / 1e6
  return { ms: sinceStartMs(lastNs), firstMs: sinceStartMs(firstNs), backendMs, clientsMs, passes }
}

/** @throws Error if not all sessions are closed in time: the method left some, so its time says nothing */
async function within<T>(ms: number, closed: Promise<T>): Promise<T> {
  const late = new AbortController()
  const given = pause(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error(`${ms / 1000} s after a method had ended all sessions, some are still open`)
  })
  // When the sessions are closed, the pause ends by an error that says nothing.
  given.catch(() => undefined)
  try {
    return await Promise.race([closed, given])
  } finally {
    late.abort()
  }
}
