import { type Memory, recall, remember } from '../../lambda/core/memory.ts'
import { writeFrame } from '../../lambda/core/recording.ts'
import { type Snapshot, withHolders } from '../../lambda/core/session.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import type { Link } from '../../lambda/postgres/connect.ts'
import { createGate, type Deadline, remaining } from '../../lambda/postgres/gate.ts'
import { readHolders } from '../../lambda/postgres/locks.ts'
import { readConnection, type Source } from '../connection.ts'
import { readDuration } from '../duration.ts'
import { looks } from '../looks.ts'
import { openOutput, type RecordingOutput } from './output.ts'
import { createProgress, type Progress } from './progress.ts'
import { count, type Look, type Tally } from './tally.ts'
import { tellChange, tellEnd, tellStart, tellStatus } from './words.ts'

export type RecordOptions = Source & { out: string; for?: string; every: string }

const LEAST_EVERY_MS = 1_000
const MOST_EVERY_MS = 3_600_000
const HOLDERS_MS = 5_000

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Records until the time is over or a signal comes. The first look must succeed. A later one that fails leaves a
 * gap, and the recording goes on.
 * @returns the exit code: 1 if the output was closed before the end
 */
export async function record({ out, ...options }: RecordOptions): Promise<number> {
  const everyMs = readEvery(options.every)
  const forMs =
    options.for === undefined ? Number.POSITIVE_INFINITY : readDuration('--for', options.for)
  const { target, credentials, tls } = readConnection(options, process.env)
  const output = await openOutput(out)
  const gate = createGate(credentials, tls)
  const progress = createProgress(out)
  progress.tell(tellStart(target, { everyMs, forMs, out }))
  const pace = { everyMs, forMs, stop: stopOnSignals() }
  try {
    const tally = await writeAll(looks(gate, pace, createReader()), target, output, progress, forMs)
    if (tally) progress.tell(tellEnd(tally, { target, out }))
    return output.isClosed() ? 1 : 0
  } finally {
    await output.close()
    await gate.close()
  }
}

/** Writes each snapshot, and tells how it goes. */
async function writeAll(
  seen: AsyncIterable<Snapshot | SlotkeeperError>,
  target: string,
  output: RecordingOutput,
  progress: Progress,
  forMs: number,
): Promise<Tally | undefined> {
  const started = performance.now()
  let tally: Tally | undefined
  for await (const one of seen) {
    const atMs = performance.now() - started
    const failure = one instanceof SlotkeeperError ? one : undefined
    // Nothing suggests yet that it would get better, and a person is there to read it.
    if (failure && !tally) throw failure
    const look: Look =
      one instanceof SlotkeeperError
        ? { atMs }
        : {
            atMs,
            sessions: one.sessions.length,
            bytes: await output.write(writeFrame({ target, snapshot: one, reaped: new Set() })),
          }
    if (output.isClosed()) break
    const change = tellChange(tally, atMs, failure)
    tally = count(tally, look)
    if (change) progress.tell(change)
    progress.update(tellStatus(tally, forMs))
  }
  return tally
}

/** Like the function: each snapshot has the holders, and what earlier snapshots showed. */
function createReader() {
  let memory: Memory | undefined
  return async (link: Link, seen: Snapshot, deadline: Deadline): Promise<Snapshot> => {
    const whole = recall(memory, seen)
    memory = remember(whole)
    return withHolders(whole, await readHolders(link, remaining(deadline, HOLDERS_MS)))
  }
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
