import { fileURLToPath } from 'node:url'
import type { Context } from 'aws-lambda'
import { iamCredentials, secretCredentials } from './aws/credentials.ts'
import { loadCloudWatch, publish } from './aws/metrics.ts'
import { type Churn, poolFields, stubborn } from './core/churn.ts'
import { entryAt } from './core/coverage.ts'
import { measure, measureFailure } from './core/measurements.ts'
import { hint } from './core/nearest.ts'
import { notices } from './core/notices.ts'
import { type Mode, type Report, reapVerdicts } from './core/report.ts'
import { brief } from './core/schema.ts'
import { messageOf, SlotkeeperError } from './errors.ts'
import { log } from './log.ts'
import { createGate, deadlineIn, SWEEP_MS } from './postgres/entry.ts'
import { readCertificates, readSettings, regionOf } from './settings.ts'
import { type Swept, sweep } from './sweep.ts'

/** Kept of the invocation's time for the metrics and the log, ms. */
const PUBLISH_MS = 7_000

// Once for each environment: a wrong configuration fails every invocation with all that is wrong.
const settings = readSettings(process.env, fileURLToPath(new URL('.', import.meta.url)))
const { auth, overrides, caFile, metrics, policy, policyGiven, target } = settings
const region = regionOf(overrides.host) ?? process.env.AWS_REGION
const gate = createGate(
  auth.via === 'secret'
    ? secretCredentials(auth.secretArn, overrides)
    : iamCredentials({ ...overrides, ...auth }),
  caFile !== false && { ca: readCertificates(caFile, region), verifyName: true },
)

let churn: Churn | undefined

/** Paths of the policy of which the log has said that they met no session; once says it. */
const toldUnmatched = new Set<string>()

if (!policyGiven) {
  const why =
    'SLOTKEEPER_POLICY is not set, so the sweeps observe by the policy "incident": idle over 30 s, and every idle session once more than 5 are idle. Mode "reap" needs a policy that is given.'
  log('WARN', 'no policy given', { target, why })
}

/**
 * One sweep. Its metrics are published whether it succeeds or not, and a failure of either fails
 * the invocation, so that Lambda's own metrics and destinations see it.
 */
export async function handler(event: unknown, context?: Context): Promise<Report> {
  const mode = readMode(event)
  const started = performance.now()
  const order = { target, policy, mode, before: churn }
  const sweeping = sweep(gate, order, deadlineIn(timeLeft(context))).catch(asFailure)
  // Loaded while the database connects; where that fails, so does the publishing, and says so.
  if (metrics.via === 'cloudwatch') loadCloudWatch().catch(asFailure)
  const result = await sweeping
  if (!(result instanceof SlotkeeperError)) churn = result.churn
  const measurements =
    result instanceof SlotkeeperError
      ? measureFailure(gate.metFullServer(), Math.round(performance.now() - started), metrics.set)
      : measure(result.snapshot, result.report, metrics.set)
  if (result instanceof SlotkeeperError) logFailure('sweep failed', result)
  else logSweep(result)

  const lost = await publish(measurements, { ...metrics, target }).then(() => undefined, asFailure)
  if (lost) logFailure('metrics lost', lost)

  if (result instanceof SlotkeeperError) throw result
  if (lost) throw lost
  return result.report
}

/** An event may ask to look only; it can't turn `observe` into `reap`. */
function readMode(event: unknown): Mode {
  const asked =
    typeof event === 'object' && event !== null && 'mode' in event ? event.mode : undefined
  if (asked === undefined || asked === 'reap' || asked === 'observe') {
    return asked === 'observe' ? 'observe' : settings.mode
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

function logSweep({ snapshot, verdicts, report, churn }: Swept): void {
  const byPid = new Map(reapVerdicts(verdicts).map((verdict) => [verdict.session.pid, verdict]))
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
  for (const { pool, reaped, sweeps } of stubborn(churn)) {
    const why = `the pool came back as fast as it was reaped, ${sweeps} sweeps in a row: bound it or mend the leak in this application`
    log('WARN', 'reaping does not help', { target, ...pool, reaped, sweeps, why })
  }
  log('INFO', 'sweep', { report })
}

function logFailure(message: string, error: SlotkeeperError): void {
  log('ERROR', message, { target, kind: error.kind, error: error.message })
}
