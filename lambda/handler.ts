import { fileURLToPath } from 'node:url'
import type { Context } from 'aws-lambda'
import { iamCredentials, secretCredentials } from './aws/credentials.ts'
import { loadCloudWatch, publish } from './aws/metrics.ts'
import { countNew, identities, stubborn } from './core/churn.ts'
import { entryAt } from './core/coverage.ts'
import { regionOf } from './core/endpoint.ts'
import { type Measurement, measure, measureFailure } from './core/measurements.ts'
import type { Memory } from './core/memory.ts'
import { hint } from './core/nearest.ts'
import { poolFields } from './core/pool.ts'
import type { Mode, Report } from './core/report.ts'
import { brief } from './core/schema.ts'
import { reapVerdicts } from './core/verdict.ts'
import { messageOf, SlotkeeperError } from './errors.ts'
import { log, logAs } from './log.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from './postgres/gate.ts'
import { readCertificates } from './postgres/tls.ts'
import { readSettings, type Settings } from './settings.ts'
import { type Swept, sweep } from './sweep.ts'

/** Kept of the invocation's time for the metrics and the log, ms. */
const PUBLISH_MS = 7_000

/** What an environment keeps between its invocations. */
type Started = {
  settings: Settings
  gate: Gate
  memory?: Memory
  /** In mode `observe`: the sessions that the last sweep would have reaped. */
  condemned?: ReadonlySet<string>
  /** Paths of the policy of which the log has said that they met no session; once says it. */
  toldUnmatched: Set<string>
}

// Once for each environment: a wrong configuration fails every invocation with all that is wrong.
const started = start()

function start(): Started | SlotkeeperError {
  try {
    const settings = readSettings(process.env, fileURLToPath(new URL('.', import.meta.url)))
    const { auth, overrides, caFile } = settings
    const region = regionOf(overrides.host) ?? process.env.AWS_REGION
    const gate = createGate(
      auth.via === 'secret'
        ? secretCredentials(auth.secretArn, overrides)
        : iamCredentials({ ...overrides, ...auth }),
      caFile !== false && { ca: readCertificates(caFile, region), verifyName: true },
    )
    if (!settings.policyGiven) {
      const why =
        'SLOTKEEPER_POLICY is not set, so the sweeps observe by the policy "incident": idle over 30 s, and every idle session once more than 5 are idle. Mode "reap" needs a policy that is given.'
      log('WARN', 'no policy given', { target: settings.target, why })
    }
    return { settings, gate, toldUnmatched: new Set() }
  } catch (error) {
    return asFailure(error)
  }
}

/**
 * One sweep. Its metrics are published whether it succeeds or not, and a failure of either fails
 * the invocation, so that Lambda's own metrics and destinations see it.
 */
export async function handler(event: unknown, context?: Context): Promise<Report> {
  logAs(context?.awsRequestId, process.env.AWS_LAMBDA_LOG_LEVEL)
  // In the log of each invocation, where the reader of an alarm looks for the reason.
  if (started instanceof SlotkeeperError) throw logFailure('sweep failed', started)
  const { gate, settings } = started
  const { target, policy, metrics } = settings
  let mode: Mode
  try {
    mode = readMode(event, settings.mode)
  } catch (error) {
    throw logFailure('sweep failed', asFailure(error), target)
  }
  const startedAt = performance.now()
  const order = { target, policy, mode, before: started.memory }
  const sweeping = sweep(gate, order, deadlineIn(timeLeft(context))).catch(asFailure)
  // Loaded while the database connects; where that fails, so does the publishing, and says so.
  if (metrics.via === 'cloudwatch') loadCloudWatch().catch(asFailure)
  const result = await sweeping
  let measurements: Measurement[]
  if (result instanceof SlotkeeperError) {
    const durationMs = Math.round(performance.now() - startedAt)
    measurements = measureFailure(gate.metFullServer(), durationMs, metrics.set)
    logFailure('sweep failed', result, target)
  } else {
    const { snapshot, report, verdicts } = result
    const condemned = identities(reapVerdicts(verdicts).map(({ session }) => session))
    measurements = measure(snapshot, report, metrics.set, {
      policy,
      condemned: condemned.size,
      newlyCondemned: countNew(condemned, started.condemned),
    })
    started.memory = result.memory
    started.condemned = mode === 'observe' ? condemned : undefined
    await logSweep(result, started)
  }

  const lost = await publish(measurements, { ...metrics, target }).then(() => undefined, asFailure)
  if (lost) logFailure('metrics lost', lost, target)

  if (result instanceof SlotkeeperError) throw result
  if (lost) throw lost
  return result.report
}

/** An event may ask to look only; it can't turn `observe` into `reap`. */
function readMode(event: unknown, deployed: Mode): Mode {
  const asked =
    typeof event === 'object' && event !== null && 'mode' in event ? event.mode : undefined
  if (asked === undefined || asked === 'reap' || asked === 'observe') {
    return asked === 'observe' ? 'observe' : deployed
  }
  const near = typeof asked === 'string' ? hint(asked, ['observe']) : ''
  throw new SlotkeeperError(
    'settings',
    `event.mode: found ${brief(asked)}${near}; expected "observe", or no mode`,
  )
}

function timeLeft(context: Context | undefined): number {
  const left = context?.getRemainingTimeInMillis?.() ?? SWEEP_MS + PUBLISH_MS
  return Math.min(SWEEP_MS, left - PUBLISH_MS)
}

function asFailure(error: unknown): SlotkeeperError {
  if (error instanceof SlotkeeperError) return error
  return new SlotkeeperError('query', `unexpected failure: ${messageOf(error)}`, { cause: error })
}

async function logSweep(
  { snapshot, verdicts, report, memory }: Swept,
  started: Started,
): Promise<void> {
  const { target } = report
  const { settings, toldUnmatched } = started
  const { policy } = settings
  const byPid = new Map(reapVerdicts(verdicts).map((verdict) => [verdict.session.pid, verdict]))
  // With the driver below it, which is loaded by now.
  const { notices } = await import('./notices.ts')
  for (const { message, why } of notices(snapshot, policy, report)) {
    log('WARN', message, { target, why })
  }
  for (const path of report.unmatched.filter((path) => !toldUnmatched.has(path))) {
    toldUnmatched.add(path)
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
  for (const { pool, reaped, sweeps } of stubborn(memory.churn)) {
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

function logFailure(message: string, error: SlotkeeperError, target?: string): SlotkeeperError {
  log('ERROR', message, { target, kind: error.kind, error: error.message })
  return error
}
