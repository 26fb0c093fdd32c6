import { fileURLToPath } from 'node:url'
import type { Context } from 'aws-lambda'
import { iamCredentials, secretCredentials } from './aws/credentials.ts'
import { loadCloudWatch, publish } from './aws/metrics.ts'
import { type Churn, poolFields, stubborn } from './core/churn.ts'
import { regionOf } from './core/endpoint.ts'
import { measure, measureFailure } from './core/measurements.ts'
import { hint } from './core/nearest.ts'
import { type Mode, type Report, reapVerdicts } from './core/report.ts'
import { brief } from './core/schema.ts'
import { messageOf, SlotkeeperError } from './errors.ts'
import { log } from './log.ts'
import { createGate, deadlineIn, SWEEP_MS } from './postgres/entry.ts'
import { readCertificates, readSettings } from './settings.ts'
import { type Swept, sweep } from './sweep.ts'

/** Kept of the invocation's time for the metrics and the log, ms. */
const PUBLISH_MS = 7_000

// Once for each environment: a wrong configuration fails every invocation with all that is wrong.
const settings = readSettings(process.env, fileURLToPath(new URL('.', import.meta.url)))
const { auth, overrides, caFile, metrics, policy, target } = settings
const region = regionOf(overrides.host) ?? process.env.AWS_REGION
const gate = createGate(
  auth.via === 'secret'
    ? secretCredentials(auth.secretArn, overrides)
    : iamCredentials({ ...overrides, ...auth }),
  caFile !== false && { ca: readCertificates(caFile, region), verifyName: true },
)

let churn: Churn | undefined

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

function logSweep({ verdicts, report, churn }: Swept): void {
  const byPid = new Map(reapVerdicts(verdicts).map((verdict) => [verdict.session.pid, verdict]))
  for (const reaped of report.reaped) {
    const message = report.mode === 'reap' ? 'reaped' : 'would reap'
    log('INFO', message, { target, ...reaped, why: byPid.get(reaped.pid)?.why })
  }
  for (const refused of report.refused) {
    const verdict = byPid.get(refused.pid)
    log('WARN', 'refused', { target, ...refused, ...(verdict && poolFields(verdict.session)) })
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
