import { writeFileSync } from 'node:fs'

/** How long something took that has a time-out, ms. */
export type Wait = { timeoutMs: number; tookMs: number }

const MARK = 'WAITS '
/** Shorter timers are pauses, not time-outs, ms. */
const LEAST_TIMEOUT_MS = 500

/**
 * Writes a module that a process loads first. It notes each timer that is cleared before its time: what it
 * was for was done in time. It keeps them in memory, because output would cost processor time, and writes
 * them on SIGTERM, which then ends the process.
 */
export function writeHook(file: string): void {
  writeFileSync(
    file,
    `const { setTimeout: set, clearTimeout: clear } = globalThis
const running = new Map()
const waits = []
globalThis.setTimeout = Object.assign((act, ms, ...rest) => {
  const timer = set(act, ms, ...rest)
  if (ms >= ${LEAST_TIMEOUT_MS}) running.set(timer, { ms, at: performance.now() })
  return timer
}, set)
globalThis.clearTimeout = (timer) => {
  const entry = running.get(timer)
  if (entry) waits.push({ timeoutMs: entry.ms, tookMs: performance.now() - entry.at })
  running.delete(timer)
  clear(timer)
}
process.once('SIGTERM', () => {
  process.stdout.write('${MARK}' + JSON.stringify(waits) + '\\n')
  process.exit()
})
`,
  )
}

/** The waits in the output of a process, or undefined if it has not written them yet. */
export function readWaits(lines: string[]): Wait[] | undefined {
  const line = lines.findLast((line) => line.startsWith(MARK))
  return line === undefined ? undefined : (JSON.parse(line.slice(MARK.length)) as Wait[])
}

/** The longest wait that had this time-out, ms; 0 if there was none. */
export function longest(waits: Wait[], timeoutMs: number): number {
  const of = waits.filter((wait) => wait.timeoutMs === timeoutMs)
  return Math.max(0, ...of.map(({ tookMs }) => tookMs))
}
