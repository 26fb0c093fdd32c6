import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import { keepOutput, type Output } from './output.ts'

/** The time that COMMAND has to end after a SIGTERM before it is killed. */
const GRACE_MS = 3_000
/** How long to wait for killed processes to disappear. */
const KILLED_MS = 5_000
const PAUSE_MS = 20
/** How long to wait for the rest of the output of a process that has ended. */
const LAST_WORDS_MS = 500
/** The variable by which the processes of a drill are known, also those that left its process group. */
const MARK = 'SLOTKEEPER_DRILL'

/** How a process ended: its exit code, or the signal that ended it. */
export type End = { code: number | null; signal: NodeJS.Signals | null }

/** COMMAND, with everything that it starts. */
export type Program = {
  output: Output
  /** Undefined while the process runs. */
  ended(): End | undefined
  /** After the process has ended, waits a moment for the rest of its output. */
  lastWords(): Promise<void>
  /** Ends the process and everything that it started. */
  stop(): Promise<void>
}

type Surroundings = {
  cwd: string | undefined
  /** Called with each line that it writes. */
  show(line: string): void
  /** Texts that its output must not show. */
  secrets: string[]
}

/**
 * Starts COMMAND in a process group of its own, so that Ctrl-C in the terminal reaches it only through
 * `stop`. When this process exits, COMMAND is ended too.
 * @throws SlotkeeperError of kind `settings` if it can't be started
 */
export async function startProgram(
  [file, ...args]: [string, ...string[]],
  environment: NodeJS.ProcessEnv,
  { cwd, show, secrets }: Surroundings,
): Promise<Program> {
  const mark = randomUUID()
  const child = spawn(file, args, {
    cwd,
    env: { ...environment, [MARK]: mark },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let end: End | undefined
  child.once('exit', (code, signal) => {
    end = { code, signal }
  })
  const closed = new Promise((resolve) => child.once('close', resolve))
  const known = new Set<string>()
  const parts = () => (child.pid === undefined ? [] : partsOf(child.pid, mark, known))
  const endNow = () => {
    for (const ms of ending(parts)) sleep(ms)
  }
  // Before the server's own listener: a program that loses its server may start to do something else.
  process.prependOnceListener('exit', endNow)
  const output = keepOutput(show, secrets)
  output.take(child.stdout)
  output.take(child.stderr)
  try {
    await once(child, 'spawn')
  } catch (error) {
    process.off('exit', endNow)
    throw new SlotkeeperError('settings', `COMMAND could not be started: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const lastWords = async () => {
    const timer = new AbortController()
    await Promise.race([
      closed,
      pause(LAST_WORDS_MS, undefined, { signal: timer.signal }).catch(() => undefined),
    ])
    timer.abort()
  }
  return {
    output,
    ended: () => end,
    lastWords,
    async stop() {
      for (const ms of ending(parts)) await pause(ms)
      process.off('exit', endNow)
      await lastWords()
      child.stdout.destroy()
      child.stderr.destroy()
    },
  }
}

/** Asks processes to end, and kills those that do not. It yields each pause, ms, which the caller makes. */
function* ending(parts: () => number[]): Generator<number> {
  signalAll(parts(), 'SIGTERM')
  const until = performance.now() + GRACE_MS
  while (parts().length > 0 && performance.now() < until) yield PAUSE_MS
  // Each time again: a process may have started another one between the look and the signal.
  while (parts().length > 0 && performance.now() < until + KILLED_MS) {
    signalAll(parts(), 'SIGKILL')
    yield PAUSE_MS
  }
}

function signalAll(targets: number[], signal: NodeJS.Signals): void {
  for (const target of targets) {
    try {
      process.kill(target, signal)
    } catch (error) {
      // It has just ended by itself, or runs as another user, as what `sudo` starts does.
      if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
}

/** A process as Linux shows it. `id` is its pid and its start: a pid is used again. */
type Process = { pid: number; parent: number; group: number; id: string }

/**
 * The processes of COMMAND that still run, as targets of `process.kill`. On Linux, they are those in its
 * group, those with its mark that left the group, and what these started: PHP-FPM leaves the group and writes its
 * title over its environment. Elsewhere, it is the group as a whole.
 * @param known what was found before, by `id`; it grows
 */
function partsOf(group: number, mark: string, known: Set<string>): number[] {
  if (!existsSync('/proc/self/stat')) return [-group].filter(isThere)
  const running = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => readProcess(pid) ?? [])
  const parts = new Set<number>()
  let added = running.filter(
    (other) => other.group === group || known.has(other.id) || hasMark(other, mark),
  )
  while (added.length > 0) {
    for (const { pid, id } of added) {
      parts.add(pid)
      known.add(id)
    }
    added = running.filter(({ pid, parent }) => parts.has(parent) && !parts.has(pid))
  }
  return [...parts]
}

/** Undefined: it has ended, or ends just now. */
function readProcess(pid: string): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of a program may contain spaces and parentheses. The 22nd field is the start.
    const [state = '', parent, group, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie has ended; only its parent has not taken note of it.
    if (state === 'Z' || state === 'X') return undefined
    return {
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      id: `${pid}:${rest[16]}`,
    }
  } catch {
    return undefined
  }
}

function hasMark({ pid }: Process, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${MARK}=${mark}`)
  } catch {
    // It ended meanwhile, or it belongs to another user, so it can't be COMMAND's.
    return false
  }
}

function isThere(target: number): boolean {
  try {
    return process.kill(target, 0)
  } catch {
    return false
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
