import { type DrillOptions, type DrillResult, drill } from '../../cli/drill/drill.ts'
import { policy } from './session.ts'

/** The command that runs one of the applications in test/support/applications. */
export function application(name: string, ...args: string[]): [string, ...string[]] {
  return [process.execPath, `test/support/applications/${name}.mjs`, ...args]
}

/** Drills at a pace for tests: what decides the outcome is patient, and nothing waits longer than it must. */
export function drillFast(
  command: DrillOptions['command'],
  options: Partial<DrillOptions> = {},
): Promise<DrillResult> {
  return drill({ command, idleMs: 200, patienceMs: 30_000, times: 1, ...options })
}

export const idleNow = policy({ rules: [{ name: 'now', state: 'idle', olderThan: '0s' }] })
