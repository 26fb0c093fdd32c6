import { once } from 'node:events'
import {
  createWriteStream,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeFrame } from '../lambda/core/recording.ts'
import type { Session } from '../lambda/core/session.ts'
import { session, snapshot } from '../test/support/session.ts'
import { brief } from './statistics.ts'
import type { Table } from './table.ts'
import { run } from './tools.ts'

const SESSIONS = 500
const POOLS = 20
const DAY_MINUTES = 1_440
const DAYS = [1, 30]
const START_S = Date.parse('2026-01-01T00:00:00.000Z') / 1000

const POLICIES = {
  'stale.json': { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] },
  'crowd.json': {
    rules: [{ name: 'crowd', state: 'idle', olderThan: '1m', when: { slotsUsedOver: '50%' } }],
    keep: 2,
  },
}

/** Run in the measured process, it writes the greatest memory (KiB) to a file. */
const WATCH = (file: string) =>
  `data:text/javascript,import{writeFileSync}from'node:fs';process.on('exit',()=>writeFileSync('${file}',String(process.resourceUsage().maxRSS)))`

/** Replays recordings of a busy server in a process of its own, as a user does. */
export async function replay(): Promise<Table> {
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-bench-'))
  try {
    for (const [name, policy] of Object.entries(POLICIES)) {
      writeFileSync(join(folder, name), JSON.stringify(policy))
    }
    const [one = '', other = ''] = Object.keys(POLICIES).map((name) => join(folder, name))
    const rows: Table['rows'] = []
    for (const days of DAYS) {
      const file = join(folder, `${days}.jsonl`)
      await writeRecording(file, days * DAY_MINUTES)
      const size = brief(statSync(file).size / 2 ** 20)
      const snapshots = days * DAY_MINUTES
      rows.push([days, snapshots, size, 1, ...(await measure(folder, [file, '--policy', one]))])
      const both = [file, '--policy', one, '--policy', other]
      rows.push([days, snapshots, size, 2, ...(await measure(folder, both))])
    }
    return {
      title: `Replaying a recording of ${SESSIONS} sessions, a snapshot each minute`,
      columns: ['days', 'snapshots', 'MiB', 'policies', 's', 'memory, MiB'],
      rows,
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Seconds, and MiB at most. */
async function measure(folder: string, args: string[]): Promise<[number, number]> {
  const memory = join(folder, 'memory')
  const started = performance.now()
  const replayed = ['dist/cli.mjs', 'replay', ...args, '--json']
  await run(process.execPath, ['--import', WATCH(memory), ...replayed])
  const seconds = (performance.now() - started) / 1000
  return [brief(seconds), brief(Number(readFileSync(memory, 'utf8')) / 1024)]
}

async function writeRecording(file: string, minutes: number): Promise<void> {
  const out = createWriteStream(file)
  const random = randomFrom(1)
  const sessions = Array.from({ length: SESSIONS }, (_, index) => newSession(index, 0, random))
  for (let minute = 0; minute < minutes; minute += 1) {
    const now = START_S + minute * 60
    for (const [index, one] of sessions.entries()) {
      sessions[index] = random() < 0.002 ? newSession(index, now, random) : lived(one, now, random)
    }
    const frame = { target: 'bench', snapshot: snapshot(sessions, { atMs: now * 1000 }), reaped }
    for (const line of writeFrame(frame)) {
      if (!out.write(`${line}\n`)) await once(out, 'drain')
    }
  }
  out.end()
  await once(out, 'close')
}

const reaped = new Set<string>()
let lastPid = 1_000

function newSession(index: number, now: number, random: () => number): Session {
  lastPid += 1
  const began = instant((now || START_S) - random() * 60)
  const pool = index % POOLS
  return session({
    pid: lastPid,
    application: `app-${pool}`,
    client: `10.0.${pool}.${index % 250}`,
    backendStart: began,
    stateChange: began,
  })
}

/** A tenth of the sessions is busy, some are used now and then, and most wait. */
function lived(one: Session, now: number, random: () => number): Session {
  const use = random() < (one.pid % 10 === 0 ? 0.9 : 0.02)
  const stateChange = use ? instant(now - random() * 60) : one.stateChange
  const state = use && random() < 0.3 ? 'active' : use ? 'idle' : one.state
  return { ...one, state, stateChange, ageSeconds: now - Number(stateChange) }
}

const instant = (seconds: number) => seconds.toFixed(6)

/** The same numbers in each run (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
