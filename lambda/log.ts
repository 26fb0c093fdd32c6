import { safeJson } from './core/text.ts'

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const

type Level = (typeof LEVELS)[number]

let requestId: string | undefined
let least: Level | undefined

/**
 * The lines from now on are of this invocation.
 * @param level the least that the function's log lets through, as Lambda tells it
 */
export function logAs(invocation: string | undefined, level?: string): void {
  requestId = invocation
  least = LEVELS.find((known) => known === level?.toUpperCase())
}

/**
 * One JSON line with the keys that Lambda's JSON logging filters by. Written to the stream, since
 * the `console` that Lambda patches would wrap the line once more.
 */
export function log(level: Level, message: string, fields: Record<string, unknown> = {}): void {
  writeLine({ timestamp: new Date().toISOString(), level, requestId, message, ...fields })
}

/**
 * Metrics in the embedded metric format, which stand at the root of their line. Lambda takes a line
 * without a level for INFO, and leaves it out where the function's level is above that: such a
 * function's metrics have the least level that is let through.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 */
export function writeMetrics(metrics: object): void {
  const isFiltered = least !== undefined && LEVELS.indexOf(least) > LEVELS.indexOf('INFO')
  // Without a timestamp the level would not count.
  const filtered = isFiltered && { timestamp: new Date().toISOString(), level: least }
  writeLine({ ...filtered, ...metrics, requestId })
}

function writeLine(line: object): void {
  process.stdout.write(`${safeJson(line)}\n`)
}
