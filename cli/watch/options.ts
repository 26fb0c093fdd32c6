import { INCIDENT } from '../../lambda/core/policy.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import type { Source } from '../connection.ts'
import { readDuration } from '../duration.ts'
import { type ModeOptions, readMode } from '../mode.ts'
import { readPolicy } from '../policy-option.ts'
import type { Subject } from './picture.ts'

export type WatchOptions = Source &
  ModeOptions & {
    every: string
    json?: boolean
    cluster?: boolean
  }

const LEAST_MS = 500
const MOST_MS = 24 * 3_600_000

/**
 * Reads what to watch, and how.
 * @param target the server, as it is shown
 * @throws SlotkeeperError of kind `settings`
 */
export function readSubject(options: WatchOptions, target: string): Subject {
  const mode = readMode(options)
  const everyMs = readEvery(options.every)
  const policyName = options.policy ?? INCIDENT
  return { target, mode, policy: readPolicy(policyName), policyName, everyMs }
}

/** Each look costs the server some milliseconds, and the timers of Node.js end after 24 days. */
function readEvery(text: string): number {
  const ms = readDuration('--every', text)
  if (ms >= LEAST_MS && ms <= MOST_MS) return ms
  throw new SlotkeeperError(
    'settings',
    `--every: found ${JSON.stringify(text)}; expected a duration from 500ms to 24h, such as "2s"`,
  )
}
