import { stubborn } from './core/churn.ts'
import { entryAt } from './core/coverage.ts'
import type { Policy } from './core/policy.ts'
import { poolFields } from './core/pool.ts'
import type { Report } from './core/report.ts'
import { reapVerdicts } from './core/verdict.ts'
import { log } from './log.ts'
import type { TargetSweep } from './target.ts'

/** Writes a line for each session that is ended, would be or may not be, for what hinders the policy, and for the sweep. */
export async function logSweep(
  { snapshot, verdicts, report, churn, newlyUnmatched }: TargetSweep,
  policy: Policy,
): Promise<void> {
  const { target } = report
  const byPid = new Map(reapVerdicts(verdicts).map((verdict) => [verdict.session.pid, verdict]))
  // With the driver below it, which is loaded by now.
  const { notices } = await import('./notices.ts')
  for (const { message, why } of notices(snapshot, policy, report)) {
    log('WARN', message, { target, why })
  }
  for (const path of newlyUnmatched) {
    log('INFO', 'entry meets no session', { target, path, entry: entryAt(policy, path) })
  }
  for (const reaped of report.reaped) {
    log('INFO', 'reaped', { target, ...reaped, why: byPid.get(reaped.pid)?.why })
  }
  for (const victim of report.wouldReap) {
    log('INFO', 'would reap', { target, ...victim, why: byPid.get(victim.pid)?.why })
  }
  // The line has a message of its own, so the server's is its error.
  for (const { pid, sqlstate, message: error } of report.refused) {
    const verdict = byPid.get(pid)
    const pool = verdict && poolFields(verdict.session)
    log('WARN', 'refused', { target, pid, sqlstate, error, ...pool })
  }
  for (const { pool, reaped, sweeps } of stubborn(churn)) {
    const why = `the pool came back as fast as it was reaped, ${sweeps} sweeps in a row: bound it or mend the leak in this application`
    log('WARN', 'reaping does not help', { target, ...pool, reaped, sweeps, why })
  }
  log('INFO', 'sweep', { report: summarised(report) })
}

/** With so many of each, a line stays below the 200 fields that Logs Insights finds in it. */
const MOST_LOGGED = 20

/**
 * The report as the log takes it. Sessions have lines of their own, so their number stands in their place: all of
 * them would pass what one event holds.
 */
function summarised(report: Report): Record<string, unknown> {
  return {
    ...report,
    rules: report.rules.slice(0, MOST_LOGGED),
    unmatched: report.unmatched.slice(0, MOST_LOGGED),
    reaped: report.reaped.length,
    wouldReap: report.wouldReap.length,
    refused: report.refused.length,
  }
}
