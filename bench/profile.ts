import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAws } from '../stand-ins/aws.ts'
import { startLambda } from '../stand-ins/lambda.ts'
import { look } from './quiet.ts'
import { type BenchServer, benchServer } from './server.ts'
import { partOfBundle, partOfSource, readProfile, type Share, shares } from './shares.ts'
import { environmentOf, invoke, node24, SECRET, secretOf } from './start.ts'
import type { Table } from './table.ts'
import { serveTls } from './tls.ts'

const CROWD = 500
const WARM_UP = 50
const SWEEPS = 300
const STARTS = 5
const INTERVAL_US = 100
/** A part below this time is counted with "the rest", ms. */
const LEAST_MS = 0.05

/** Where one warm sweep and one cold start spend their time, as V8's profiler measures it. */
export async function profile(): Promise<Table> {
  const db = await benchServer({ max_connections: String(CROWD + 50) })
  try {
    const held = await db.hold(CROWD)
    const warm = await profileWarm(db)
    await held.drop()
    await db.untilNoneIsLeft()
    return {
      title: `Where one warm sweep of ${CROWD} sessions (mean of ${SWEEPS}) and one cold start with its first sweep (mean of ${STARTS}, Node.js 24) spend their time. The profiler itself takes some of it`,
      columns: ['', 'part', 'ms', '%'],
      rows: [...rows('warm sweep', warm), ...rows('cold start', await profileCold(db))],
    }
  } finally {
    await db.stop()
  }
}

function rows(name: string, parts: Share[]): Table['rows'] {
  const total = parts.reduce((sum, { ms }) => sum + ms, 0)
  const large = parts.filter(({ ms }) => ms >= LEAST_MS)
  const rest = total - large.reduce((sum, { ms }) => sum + ms, 0)
  return [...large, { part: 'the rest', ms: rest }].map(({ part, ms }) => [
    name,
    part,
    Number(ms.toFixed(2)),
    Math.round((100 * ms) / total),
  ])
}

const perRound = (all: Share[], rounds: number) =>
  all.map(({ part, ms }) => ({ part, ms: ms / rounds }))

async function profileWarm(db: BenchServer): Promise<Share[]> {
  const gate = db.gate()
  for (let round = 0; round < WARM_UP; round += 1) await look(gate)
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US })
  await session.post('Profiler.start')
  for (let round = 0; round < SWEEPS; round += 1) await look(gate)
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  await gate.close()
  return perRound(shares(profile, partOfSource), SWEEPS)
}

async function profileCold(db: BenchServer): Promise<Share[]> {
  const node = node24()
  const aws = await startAws({ [SECRET]: secretOf(db) })
  const caFile = await serveTls(db.admin)
  const partOf = partOfBundle('dist/meta.json')
  const spent = new Map<string, number>()
  try {
    for (let round = 0; round < STARTS; round += 1) {
      const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-profile-'))
      await startProfiled(node, environmentOf(aws.url, caFile), folder)
      for (const { part, ms } of shares(readProfile(folder), partOf)) {
        spent.set(part, (spent.get(part) ?? 0) + ms)
      }
      rmSync(folder, { recursive: true })
    }
  } finally {
    await aws.close()
  }
  const all = [...spent].map(([part, ms]) => ({ part, ms })).sort((a, b) => b.ms - a.ms)
  return perRound(all, STARTS)
}

/** Node.js writes the profile only when it exits by itself. A function never does, so it exits on SIGTERM. */
async function startProfiled(
  node: string,
  environment: Record<string, string>,
  folder: string,
): Promise<void> {
  const ending = join(folder, 'end.cjs')
  writeFileSync(ending, "process.once('SIGTERM', () => process.exit())\n")
  const options = `--require=${ending} --cpu-prof --cpu-prof-interval=${INTERVAL_US} --cpu-prof-dir=${folder}`
  const lambda = await startLambda({
    bundle: 'dist/lambda',
    bootstrap: 'dist/bootstrap.mjs',
    environment: { ...environment, NODE_OPTIONS: options },
    timeoutMs: 30_000,
    node,
  })
  await invoke(lambda)
  process.kill(lambda.pid as number, 'SIGTERM')
  // Resolves when the process has ended.
  await lambda.invoke({})
  await lambda.stop()
}
