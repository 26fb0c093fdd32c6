import type { Cut } from '../../cli/drill/comeback.ts'
import { type DrillOptions, type DrillResult, drill } from '../../cli/drill/drill.ts'

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

/** A cut of four sessions after which the application came back; a test says what is different. */
export const cut = (different: Partial<Cut> = {}): Cut => ({
  by: 'policy',
  ended: 4,
  endedInTransaction: 0,
  left: [],
  refused: [],
  cameBackMs: 12,
  newSessions: 1,
  newAtOnce: 1,
  churn: false,
  process: null,
  said: [],
  ...different,
})
