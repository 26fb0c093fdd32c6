import { fileURLToPath } from 'node:url'
import type { Context } from 'aws-lambda'
import { iamCredentials, secretCredentials } from './aws/credentials.ts'
import { loadCloudWatch, publish } from './aws/metrics.ts'
import { type Churn, countNew, identities, poolFields, stubborn } from './core/churn.ts'
import { type Measurement, measure, measureFailure } from './core/measurements.ts'
import { hint } from './core/nearest.ts'
import { type Mode, type Report, reapVerdicts } from './core/report.ts'
import { brief } from './core/schema.ts'
import { messageOf, SlotkeeperError } from './errors.ts'
import { log, logAs } from './log.ts'
import { createGate, deadlineIn, type Gate, SWEEP_MS } from './postgres/entry.ts'
import { readCertificates, readSettings, regionOf, type Settings } from './settings.ts'
import { type Swept, sweep } from './sweep.ts'

/** Kept of the invocation's time for the metrics and the log, ms. */
const PUBLISH_MS = 7_000

/** What an environment keeps between its invocations. */
type Started = {
  settings: Settings
  gate: Gate
  churn?: Churn
  /** In mode `observe`: who would have been reaped by the last sweep. */
  condemned?: ReadonlySet<string>
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
    return { settings, gate }
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
  const order = { target, policy, mode, before: started.churn }
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
    started.churn = result.churn
    started.condemned = mode === 'observe' ? condemned : undefined
    logSweep(result)
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

function logSweep({ verdicts, report, churn }: Swept): void {
  const { target } = report
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
  log('INFO', 'sweep', { report: counted(report) })
}

/**
 * The report with the length of each list in its place. Sessions have lines of their own, and one line
 * with all of them would pass what Logs Insights finds in it (200 fields), or the log takes at all.
 */
function counted(report: Report): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(report).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.length : value,
    ]),
  )
}

function logFailure(message: string, error: SlotkeeperError, target?: string): SlotkeeperError {
  log('ERROR', message, { target, kind: error.kind, error: error.message })
  return error
}
