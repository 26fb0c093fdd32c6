import { writeFrame } from '../../lambda/core/recording.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { readConnection, type Source as Server } from '../connection.ts'
import { readDuration } from '../duration.ts'
import { rounds } from '../looks.ts'
import { openOutput, type RecordingOutput } from './output.ts'
import { createProgress, type Progress } from './progress.ts'
import { openInstances, openServer, type Seen } from './sources.ts'
import { count, type Look, type Tally } from './tally.ts'
import { tellChange, tellEnd, tellStart, tellStatus } from './words.ts'

export type RecordOptions = Server & {
  out: string
  for?: string
  every: string
  cluster?: boolean
}

const LEAST_EVERY_MS = 1_000
const MOST_EVERY_MS = 3_600_000

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Records until the time is over or a signal comes. The first look must succeed, for a cluster at one instance. A later
 * one that fails leaves a gap, and the recording goes on.
 * @returns the exit code: 1 if the output was closed before the end
 */
export async function record({ out, ...options }: RecordOptions): Promise<number> {
  const everyMs = readEvery(options.every)
  const forMs =
    options.for === undefined ? Number.POSITIVE_INFINITY : readDuration('--for', options.for)
  const connection = readConnection(options, process.env)
  const output = await openOutput(out)
  const source = options.cluster ? openInstances(connection) : openServer(connection)
  const progress = createProgress(out)
  const what = options.cluster ? `each instance of ${connection.target}` : connection.target
  progress.tell(tellStart(what, { everyMs, forMs, out }))
  const pace = { everyMs, forMs, stop: stopOnSignals() }
  try {
    const tallies = await writeAll(rounds(pace, source.look), output, progress, forMs)
    for (const [target, tally] of tallies) {
      progress.tell(tellEnd(tally, { target, out, pick: tallies.size > 1 }))
    }
    return output.isClosed() ? 1 : 0
  } finally {
    await output.close()
    await source.close()
  }
}

/** Writes the snapshots of each round, and tells how it goes. Returns what there is of each server. */
async function writeAll(
  seen: AsyncIterable<Seen[]>,
  output: RecordingOutput,
  progress: Progress,
  forMs: number,
): Promise<ReadonlyMap<string, Tally>> {
  const started = performance.now()
  const tallies = new Map<string, Tally>()
  for await (const round of seen) {
    const atMs = performance.now() - started
    if (tallies.size === 0) failIfAllFailed(round)
    for (const one of round) {
      const look = await write(output, one, atMs)
      if (output.isClosed()) return tallies
      const before = tallies.get(one.target)
      tallies.set(one.target, count(before, look))
      tell(progress, one, tellChange(before, atMs, failureIn(one)), round.length)
    }
    progress.update(tellStatus([...tallies.values()], forMs))
  }
  return tallies
}

function tell(
  progress: Progress,
  { target }: Seen,
  change: string | undefined,
  servers: number,
): void {
  if (change) progress.tell(servers > 1 ? `${target}: ${change}` : change)
}

function failureIn({ answer }: Seen): SlotkeeperError | undefined {
  return answer instanceof SlotkeeperError ? answer : undefined
}

/** In the first round nothing suggests yet that it would get better, and a person is there to read it. */
function failIfAllFailed(round: Seen[]): void {
  const failures = round.map(failureIn)
  if (failures[0] && !failures.includes(undefined)) throw failures[0]
}

async function write(
  output: RecordingOutput,
  { target, answer }: Seen,
  atMs: number,
): Promise<Look> {
  if (answer instanceof SlotkeeperError) return { atMs }
  const lines = writeFrame({ target, snapshot: answer, reaped: new Set() })
  return { atMs, sessions: answer.sessions.length, bytes: await output.write(lines) }
}

function readEvery(text: string): number {
  const ms = readDuration('--every', text)
  if (ms >= LEAST_EVERY_MS && ms <= MOST_EVERY_MS) return ms
  throw new SlotkeeperError('settings', `--every: found "${text}"; expected 1s to 1h`)
}

/** The first signal ends the recording after the look under way. The second one ends the process. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController()
  const handle = (_: string, number: number) => {
    if (stop.signal.aborted) process.exit(128 + number)
    stop.abort()
  }
  for (const signal of SIGNALS) process.on(signal, handle)
  return stop.signal
}
