import { fileURLToPath } from 'node:url'
import type { Context } from 'aws-lambda'
import { loadSdk } from './aws/cloudwatch.ts'
import { credentialsFor } from './aws/credentials.ts'
import { publish } from './aws/metrics.ts'
import type { Cluster } from './cluster.ts'
import type { ClusterReport } from './core/cluster-report.ts'
import type { CredentialsFor } from './core/credentials.ts'
import { regionOf } from './core/endpoint.ts'
import { type Measurement, measure, measureFailure } from './core/measurements.ts'
import { hint } from './core/nearest.ts'
import type { Mode, Report } from './core/report.ts'
import { brief } from './core/schema.ts'
import { asFailure, SlotkeeperError } from './errors.ts'
import { log, logAs, logFailure } from './log.ts'
import { createGate, type Deadline, deadlineIn, type Gate, SWEEP_MS } from './postgres/gate.ts'
import { readCertificates, type Tls } from './postgres/tls.ts'
import { readSettings, type Settings } from './settings.ts'
import { logFrame, logSweep } from './sweep-log.ts'
import { createTarget, type Target, type TargetSweep } from './target.ts'

/** Time reserved at the end of the invocation for the metrics and the log, ms. */
export const PUBLISH_MS = 7_000

/** What an execution environment keeps between its invocations. */
type Started = {
  settings: Settings
  /** What only a cluster needs is loaded only if the target is one. */
  swept: Target | Promise<Cluster>
}

/** What one invocation returns or throws, and publishes. */
type Pass = { result: Report | ClusterReport | SlotkeeperError; measurements: Measurement[] }

// Runs once for each execution environment. With a wrong configuration every invocation fails and lists all
// problems.
const started = start()

function start(): Started | SlotkeeperError {
  try {
    const settings = readSettings(process.env, fileURLToPath(new URL('.', import.meta.url)))
    const { auth, overrides, caFile, target, policy } = settings
    const region = regionOf(overrides.host) ?? process.env.AWS_REGION
    const tls = caFile !== false && { ca: readCertificates(caFile, region), verifyName: true }
    if (!settings.policyGiven) {
      const why =
        'SLOTKEEPER_POLICY is not set, so the sweeps observe with the policy "incident": sessions that are idle for over 30 s, and every idle session once more than 5 are idle. Mode "reap" needs SLOTKEEPER_POLICY.'
      log('WARN', 'no policy given', { target: settings.target, why })
    }
    const credentials = credentialsFor(auth, overrides)
    const targetOf = (name: string, gate: Gate) => createTarget(name, policy, gate, settings.record)
    const swept = settings.cluster
      ? createClusterOf(settings, credentials, tls, targetOf)
      : targetOf(target, createGate(credentials(), tls))
    return { settings, swept }
  } catch (error) {
    return asFailure(error)
  }
}

async function createClusterOf(
  { target, autoPause }: Settings,
  credentials: CredentialsFor,
  tls: Tls,
  targetOf: (name: string, gate: Gate) => Target,
): Promise<Cluster> {
  const { createAutoPause, createCluster, createMembers } = await import('./late-cluster.ts')
  const members = createMembers(credentials, tls, { onlyEndpoint: autoPause })
  return createCluster(target, members, targetOf, autoPause ? createAutoPause() : undefined)
}

/**
 * Runs one sweep and publishes its metrics, even if the sweep failed. If the sweep or the publishing fails,
 * the invocation fails, so that Lambda's own metrics and destinations see it. The sweep of a cluster fails if no
 * instance could be swept.
 * @param event `{ "mode": "observe" }` makes this sweep observe
 * @throws SlotkeeperError
 */
export async function handler(event: unknown, context?: Context): Promise<Report | ClusterReport> {
  logAs(context?.awsRequestId, process.env.AWS_LAMBDA_LOG_LEVEL)
  // Each invocation logs it, because that is where a person who got an alarm looks for the reason.
  if (started instanceof SlotkeeperError) throw logFailure('sweep failed', started)
  const { swept, settings } = started
  const { metrics, target } = settings
  let mode: Mode
  try {
    mode = readMode(event, settings.mode)
  } catch (error) {
    throw logFailure('sweep failed', asFailure(error), target)
  }
  const deadline = deadlineIn(timeLeft(context))
  const sweeping =
    swept instanceof Promise
      ? sweepCluster(await swept, mode, deadline, settings)
      : sweepServer(swept, mode, deadline, settings)
  // Load the SDK while the database connects. If loading fails, `publish` fails too and reports it.
  if (metrics.via === 'cloudwatch') loadSdk().catch(asFailure)
  const { result, measurements } = await sweeping

  const lost = await publish(measurements, { ...metrics, target }).then(() => undefined, asFailure)
  if (lost) logFailure('metrics lost', lost, target)

  if (result instanceof SlotkeeperError) throw result
  if (lost) throw lost
  return result
}

async function sweepServer(
  target: Target,
  mode: Mode,
  deadline: Deadline,
  settings: Settings,
): Promise<Pass> {
  const startedAt = performance.now()
  const result = await target.sweep(mode, deadline).catch(asFailure)
  if (!(result instanceof SlotkeeperError)) {
    return { result: result.report, measurements: await tell(result, settings) }
  }
  const durationMs = Math.round(performance.now() - startedAt)
  logFailure('sweep failed', result, target.name)
  const measurements = measureFailure(target.metFullServer(), durationMs, settings.metrics.set)
  return { result, measurements }
}

async function sweepCluster(
  cluster: Cluster,
  mode: Mode,
  deadline: Deadline,
  settings: Settings,
): Promise<Pass> {
  const { passOverCluster } = await import('./late-cluster.ts')
  return passOverCluster(cluster, mode, deadline, settings, (swept) => tell(swept, settings))
}

/** Writes the log of one server's sweep that succeeded, and returns its metrics. */
async function tell(
  swept: TargetSweep,
  { policy, metrics, record }: Settings,
): Promise<Measurement[]> {
  const { snapshot, report, newlyCondemned, wouldRefuse } = swept
  if (record) await logFrame(swept)
  await logSweep(swept, policy)
  return measure(snapshot, report, metrics.set, { policy, newlyCondemned, wouldRefuse })
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
