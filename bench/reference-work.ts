// Times fixed work: the processor's, a fork's and a round trip's. Argument: a connection URL. It prints JSON
// with the parts of a `Reference` that need no crowd.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { median } from './statistics.ts'

const HASHED = Buffer.alloc(8 * 1024 * 1024)
const HASHES = 51
const FORKS = 200
const FORK_ROUNDS = 25
const ROUND_TRIPS = 500
const TRIP_ROUNDS = 25

/** Times an action, without its first run. */
async function timed(rounds: number, act: () => unknown): Promise<number> {
  const samples: number[] = []
  for (let round = 0; round <= rounds; round += 1) {
    const started = performance.now()
    await act()
    if (round > 0) samples.push(performance.now() - started)
  }
  return median(samples)
}

const hash = () => createHash('sha256').update(HASHED).digest()
/** A subshell is a fork without a new program. */
const FORK = `i=0; while [ $i -lt ${FORKS} ]; do (:); i=$((i+1)); done`
const fork = () => execFileSync('sh', ['-c', FORK])

/** Whether client and server process share a processor doubles the time, and is chance. So they do. */
function pin(...pids: number[]): void {
  const allowed = /^Cpus_allowed_list:\t(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))
  for (const pid of pids) {
    execFileSync('taskset', [
      '--all-tasks',
      '--cpu-list',
      '--pid',
      allowed?.[1] ?? '0',
      String(pid),
    ])
  }
}

const client = new Client({ connectionString: process.argv[2] })
await client.connect()
const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
const trips = async () => {
  for (let trip = 0; trip < ROUND_TRIPS; trip += 1) await client.query('select 1')
}
const processorMs = await timed(HASHES, hash)
const forkMs = (await timed(FORK_ROUNDS, fork)) / FORKS
pin(process.pid, rows[0]?.pid ?? process.pid)
const roundTripMs = (await timed(TRIP_ROUNDS, trips)) / ROUND_TRIPS
await client.end()
process.stdout.write(JSON.stringify({ processorMs, forkMs, roundTripMs }))
