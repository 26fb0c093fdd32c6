import { identities, stubborn } from './core/churn.ts'
import { entryAt } from './core/coverage.ts'
import { type Period, tellBounds, tellPeriod } from './core/hindsight.ts'
import type { Policy } from './core/policy.ts'
import { poolFields } from './core/pool.ts'
import type { Report } from './core/report.ts'
import { reapVerdicts } from './core/verdict.ts'
import { loadLate } from './load-late.ts'
import { log, writeData } from './log.ts'
import type { SweepResult } from './sweep.ts'
import type { TargetSweep } from './target.ts'

/**
 * Writes a log line for each notice, each policy path that newly matches no session, each session that was
 * reaped, would be reaped, was used again or was refused, and each pool that reaping does not help. Once a day, a
 * line says what observing showed. The last line is for the sweep itself.
 */
export async function logSweep(
  { snapshot, verdicts, report, churn, newlyUnmatched, usedAgain, observed }: TargetSweep,
  policy: Policy,
): Promise<void> {
  const { target } = report
  const byPid = new Map(reapVerdicts(verdicts).map((verdict) => [verdict.session.pid, verdict]))
  const { notices } = await loadLate()
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
  for (const again of usedAgain) {
    const why = `in mode reap, rule ${again.rule} would have ended it; its next use came after ${tellBounds(again.idleSeconds)}`
    log('INFO', 'used again', { target, ...again, why })
  }
  if (observed) logPeriod(target, observed)
  // `message` names the log line, so the server's message goes into `error`.
  for (const { pid, sqlstate, message: error } of report.refused) {
    const verdict = byPid.get(pid)
    const pool = verdict && poolFields(verdict.session)
    log('WARN', 'refused', { target, pid, sqlstate, error, ...pool })
  }
  for (const { pool, reaped, sweeps } of stubborn(churn)) {
    const why = `the pool came back as fast as it was reaped, ${sweeps} sweeps in a row: limit its size, or fix the leak in this application`
    log('WARN', 'reaping does not help', { target, ...pool, reaped, sweeps, why })
  }
  log('INFO', 'sweep', { report: summarised(report) })
}

function logPeriod(target: string, period: Period): void {
  const { fromMs, toMs, wouldEnd, usedAgain, idleSeconds, stillIdle } = period
  const from = new Date(fromMs).toISOString()
  const to = new Date(toMs).toISOString()
  const began = `${from.slice(0, 16).replace('T', ' ')} UTC`
  const why = tellPeriod(period, began)
  log('INFO', 'observed', { target, from, to, wouldEnd, usedAgain, idleSeconds, stillIdle, why })
}

/** Writes the snapshot, and the sessions that the sweep ended, as lines of a recording. */
export async function logFrame({ snapshot, verdicts, report }: SweepResult): Promise<void> {
  const { writeFrame } = await import('./core/recording.ts')
  const ended = new Set(
    report.reaped.filter(({ action }) => action === 'terminate').map(({ pid }) => pid),
  )
  const victims = reapVerdicts(verdicts).map(({ session }) => session)
  const reaped = identities(victims.filter(({ pid }) => ended.has(pid)))
  writeData(writeFrame({ target: report.target, snapshot, reaped }))
}

/** With this limit for each list, a line stays below the 200 fields that Logs Insights discovers. */
const MOST_LOGGED = 20

/**
 * The report in the form that the log takes. It has the number of sessions instead of the sessions: each
 * session has a log line of its own, and all of them could exceed the size limit of one log event.
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
