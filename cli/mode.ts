import { INCIDENT } from '../lambda/core/policy.ts'
import type { Mode } from '../lambda/core/report.ts'
import { SlotkeeperError } from '../lambda/errors.ts'

/** The options that decide whether a command may end sessions. */
export type ModeOptions = { policy?: string; reap?: boolean; observe?: boolean }

/**
 * Mode `reap` only if the caller asks for it and names the policy.
 * @throws SlotkeeperError of kind `settings`
 */
export function readMode({ reap, observe, policy }: ModeOptions): Mode {
  if (!reap) return 'observe'
  if (observe) throw usage('--reap and --observe exclude each other; give only one of them')
  if (policy === undefined) {
    throw usage(
      `--reap needs a policy; expected --policy FILE, or --policy ${INCIDENT}, which ends each session that is idle for over 30 s, and every idle session when more than 5 are idle`,
    )
  }
  return 'reap'
}

function usage(message: string): SlotkeeperError {
  return new SlotkeeperError('settings', message)
}
