import type { End } from './process.ts'

/** How a process ended, in words. */
export function endWords({ code, signal }: End): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`
}

/** @param which for example `new `, with a space at its end */
export function countSessions(count: number, which = ''): string {
  return count === 1 ? `1 ${which}session` : `${count} ${which}sessions`
}

/** `12 ms` below a second, `1.2 s` above. */
export function milliseconds(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`
}
