import { safeJson } from './core/text.ts'
import type { SlotkeeperError } from './errors.ts'

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const

type Level = (typeof LEVELS)[number]

let requestId: string | undefined
let least: Level | undefined

/**
 * Sets the request id and the level for the lines that follow.
 * @param level the lowest level that the function's log lets through (AWS_LAMBDA_LOG_LEVEL)
 */
export function logAs(invocation: string | undefined, level?: string): void {
  requestId = invocation
  least = LEVELS.find((known) => known === level?.toUpperCase())
}

/**
 * Writes one JSON line with the keys that Lambda's JSON logging filters by. It writes to stdout directly,
 * because Lambda patches `console`, which would wrap the line a second time.
 */
export function log(level: Level, message: string, fields: Record<string, unknown> = {}): void {
  writeLine({ timestamp: new Date().toISOString(), level, requestId, message, ...fields })
}

/** Writes the line of a failure, and returns the failure to be thrown. */
export function logFailure(
  message: string,
  error: SlotkeeperError,
  target?: string,
): SlotkeeperError {
  log('ERROR', message, { target, kind: error.kind, error: error.message })
  return error
}

/**
 * Writes metrics in the embedded metric format, at the root of their line. Lambda treats a line without a
 * level as INFO, and drops it if the function's level is higher. In such a function the line gets the lowest
 * level that passes.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 */
export function writeMetrics(metrics: object): void {
  writeLine({ ...levelThatPasses(), ...metrics, requestId })
}

/**
 * Writes lines of JSON objects as they are. Like metrics, they get the lowest level that passes if the
 * function's log would drop them.
 */
export function writeData(lines: string[]): void {
  const level = levelThatPasses()
  const beginning = level === undefined ? '{' : `${safeJson(level).slice(0, -1)},`
  for (const line of lines) process.stdout.write(`${beginning}${line.slice(1)}\n`)
}

/** Undefined if a line without a level passes. */
function levelThatPasses(): { timestamp: string; level: Level } | undefined {
  if (least === undefined || LEVELS.indexOf(least) <= LEVELS.indexOf('INFO')) return undefined
  // Lambda ignores the level of a line that has no timestamp.
  return { timestamp: new Date().toISOString(), level: least }
}

function writeLine(line: object): void {
  process.stdout.write(`${safeJson(line)}\n`)
}
