import { safeJson } from './core/text.ts'

type Level = 'INFO' | 'WARN' | 'ERROR'

/**
 * One JSON line with the keys that Lambda's JSON logging filters by. Written to the stream, since
 * the `console` that Lambda patches would wrap the line once more.
 */
export function log(level: Level, message: string, fields: Record<string, unknown> = {}): void {
  writeLine({ timestamp: new Date().toISOString(), level, message, ...fields })
}

/** One JSON line as it is: the embedded metric format stands at the root of its line. */
export function writeLine(line: object): void {
  process.stdout.write(`${safeJson(line)}\n`)
}
