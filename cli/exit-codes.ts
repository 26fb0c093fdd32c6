import type { Kind } from '../lambda/errors.ts'

export const EXIT_REFUSED = 1
export const EXIT_USAGE = 2
const EXIT_NO_CONNECTION = 3

/** The exit code of a command that failed. */
export const exitCodes: Record<Kind, number> = {
  settings: EXIT_USAGE,
  credentials: EXIT_NO_CONNECTION,
  authentication: EXIT_NO_CONNECTION,
  forbidden: EXIT_NO_CONNECTION,
  exhausted: EXIT_NO_CONNECTION,
  limited: EXIT_NO_CONNECTION,
  unreachable: EXIT_NO_CONNECTION,
  tls: EXIT_NO_CONNECTION,
  blind: EXIT_REFUSED,
  rights: EXIT_REFUSED,
  query: EXIT_REFUSED,
  unexpected: EXIT_REFUSED,
  publish: EXIT_REFUSED,
}
