import { fileURLToPath } from 'node:url'
import type { Context } from 'aws-lambda'
import { loadSdk } from './aws/cloudwatch.ts'
import { iamCredentials, secretCredentials } from './aws/credentials.ts'
import { publish } from './aws/metrics.ts'
import { regionOf } from './core/endpoint.ts'
import { type Measurement, measure, measureFailure } from './core/measurements.ts'
import { hint } from './core/nearest.ts'
import type { Mode, Report } from './core/report.ts'
import { brief } from './core/schema.ts'
import { messageOf, SlotkeeperError } from './errors.ts'
import { log, logAs } from './log.ts'
import { createGate, deadlineIn, SWEEP_MS } from './postgres/gate.ts'
import { readCertificates } from './postgres/tls.ts'
import { readSettings, type Settings } from './settings.ts'
import { logFrame, logSweep } from './sweep-log.ts'
import { createTarget, type Target } from './target.ts'

/** Time reserved at the end of the invocation for the metrics and the log, ms. */
export const PUBLISH_MS = 7_000

/** What an execution environment keeps between its invocations. */
type Started = { settings: Settings; target: Target }

// Runs once for each execution environment. With a wrong configuration every invocation fails and lists all
// problems.
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
        'SLOTKEEPER_POLICY is not set, so the sweeps observe with the policy "incident": sessions that are idle for over 30 s, and every idle session once more than 5 are idle. Mode "reap" needs SLOTKEEPER_POLICY.'
      log('WARN', 'no policy given', { target: settings.target, why })
    }
    return {
      settings,
      target: createTarget(settings.target, settings.policy, gate, settings.record),
    }
  } catch (error) {
    return asFailure(error)
  }
}

/**
 * Runs one sweep and publishes its metrics, even if the sweep failed. If the sweep or the publishing fails,
 * the invocation fails, so that Lambda's own metrics and destinations see it.
 * @param event `{ "mode": "observe" }` makes this sweep observe
 * @throws SlotkeeperError
 */
export async function handler(event: unknown, context?: Context): Promise<Report> {
  logAs(context?.awsRequestId, process.env.AWS_LAMBDA_LOG_LEVEL)
  // Each invocation logs it, because that is where a person who got an alarm looks for the reason.
  if (started instanceof SlotkeeperError) throw logFailure('sweep failed', started)
  const { target, settings } = started
  const { policy, metrics } = settings
  let mode: Mode
  try {
    mode = readMode(event, settings.mode)
  } catch (error) {
    throw logFailure('sweep failed', asFailure(error), target.name)
  }
  const startedAt = performance.now()
  const sweeping = target.sweep(mode, deadlineIn(timeLeft(context))).catch(asFailure)
  // Load the SDK while the database connects. If loading fails, `publish` fails too and reports it.
  if (metrics.via === 'cloudwatch') loadSdk().catch(asFailure)
  const result = await sweeping
  let measurements: Measurement[]
  if (result instanceof SlotkeeperError) {
    const durationMs = Math.round(performance.now() - startedAt)
    measurements = measureFailure(target.metFullServer(), durationMs, metrics.set)
    logFailure('sweep failed', result, target.name)
  } else {
    const { snapshot, report, newlyCondemned, wouldRefuse } = result
    const circumstances = { policy, newlyCondemned, wouldRefuse }
    measurements = measure(snapshot, report, metrics.set, circumstances)
    if (settings.record) await logFrame(result)
    await logSweep(result, policy)
  }

  const destination = { ...metrics, target: target.name }
  const lost = await publish(measurements, destination).then(() => undefined, asFailure)
  if (lost) logFailure('metrics lost', lost, target.name)

  if (result instanceof SlotkeeperError) throw result
  if (lost) throw lost
  return result.report
}

/** An event may turn `reap` into `observe`, but not `observe` into `reap`. */
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
  return new SlotkeeperError('unexpected', `unexpected failure: ${messageOf(error)}`, {
    cause: error,
  })
}

function logFailure(message: string, error: SlotkeeperError, target?: string): SlotkeeperError {
  log('ERROR', message, { target, kind: error.kind, error: error.message })
  return error
}
