import type { Cluster, ClusterSweep, InstanceSweep } from './cluster.ts'
import { type InstanceMeasurements, measureCluster } from './core/cluster-measurements.ts'
import { type ClusterReport, instanceTarget } from './core/cluster-report.ts'
import {
  type Measurement,
  type MetricSet,
  measureAway,
  measureFailure,
  measurePause,
} from './core/measurements.ts'
import type { Mode } from './core/report.ts'
import { asFailure, SlotkeeperError } from './errors.ts'
import { log, logFailure } from './log.ts'
import type { Deadline } from './postgres/gate.ts'
import type { Settings } from './settings.ts'
import type { TargetSweep } from './target.ts'

/**
 * Sweeps a cluster once, writes its log, and returns what to return or throw, and what to publish. It fails if no
 * instance could be swept. If only some failed, their errors are in the report and in the log, and the cluster's
 * `SweepSucceeded` is 0.
 * @param tell writes the log of one instance's sweep, and returns its metrics
 */
export async function passOverCluster(
  cluster: Cluster,
  mode: Mode,
  deadline: Deadline,
  { metrics: { set }, autoPause }: Settings,
  tell: (swept: TargetSweep) => Promise<Measurement[]>,
): Promise<{ result: ClusterReport | SlotkeeperError; measurements: Measurement[] }> {
  const started = performance.now()
  const swept = await cluster.sweep(mode, deadline).catch(asFailure)
  if (swept instanceof SlotkeeperError) {
    logFailure('sweep failed', swept, cluster.name)
    const durationMs = Math.round(performance.now() - started)
    return {
      result: swept,
      measurements: measureFailure(swept.kind === 'exhausted', durationMs, set),
    }
  }
  const { report, instances } = swept
  const each: InstanceMeasurements[] = []
  for (const instance of instances) {
    const measurements = await tellInstance(cluster.name, instance, set, tell)
    each.push({ id: instance.id, measurements, state: stateOf(instance) })
  }
  logCluster(swept)
  const { durationMs } = report
  const measurements =
    instances.length === 0 ? measureAway(durationMs, set) : measureCluster(each, durationMs, set)
  const pauses = autoPause ? measurePauses(swept, set) : []
  return {
    result: everyFailure(cluster.name, instances) ?? report,
    measurements: [...measurements, ...pauses],
  }
}

async function tellInstance(
  cluster: string,
  { id, result, counts, metFullServer, durationMs }: InstanceSweep,
  set: MetricSet,
  tell: (swept: TargetSweep) => Promise<Measurement[]>,
): Promise<Measurement[]> {
  if (!(result instanceof SlotkeeperError)) return tell(result)
  const target = instanceTarget(cluster, id)
  if (counts) logFailure('sweep failed', result, target)
  else log('WARN', 'instance is leaving', { target, kind: result.kind, error: result.message })
  return measureFailure(metFullServer, durationMs, set)
}

function stateOf({ result, counts, metFullServer }: InstanceSweep): InstanceMeasurements['state'] {
  if (!(result instanceof SlotkeeperError)) return 'swept'
  if (!counts) return 'leaving'
  return metFullServer ? 'full' : 'failed'
}

function logCluster({ report, instances, joined, left }: ClusterSweep): void {
  const { target, mode, at, durationMs, stayedAway = [] } = report
  for (const { target: of, why, inDoubt } of stayedAway) {
    if (inDoubt) log('WARN', 'stays away in doubt', { target: of, why })
    else log('INFO', 'stays away', { target: of, why })
  }
  const failed = instances.filter(({ result }) => result instanceof SlotkeeperError).length
  const writer = instances.find(({ isWriter }) => isWriter)?.id
  const counts = { instances: instances.length, failed, stayedAway: stayedAway.length }
  log('INFO', 'cluster sweep', { target, mode, at, durationMs, writer, ...counts, joined, left })
}

/** If every instance failed, one error with the failures of all. */
function everyFailure(cluster: string, instances: InstanceSweep[]): SlotkeeperError | undefined {
  const failures = instances.flatMap(({ id, result }) =>
    result instanceof SlotkeeperError ? [{ id, result }] : [],
  )
  const [first] = failures
  if (first === undefined || failures.length < instances.length) return undefined
  const each = failures.map(({ id, result }) => `${id}: ${result.message}`).join(' | ')
  return new SlotkeeperError(
    first.result.kind,
    `no instance of the cluster ${cluster} could be swept: ${each}`,
    { cause: first.result },
  )
}

/** `Paused` of the cluster and, in the full set, of each instance. */
function measurePauses({ instances, away }: ClusterSweep, set: MetricSet): Measurement[] {
  const whole = measurePause(instances.length === 0)
  if (set !== 'full') return [whole]
  const of = (instance: string, isAway: boolean) => ({ ...measurePause(isAway), instance })
  const swept = instances.map(({ id }) => of(id, false))
  return [whole, ...swept, ...[...away.keys()].map((id) => of(id, true))]
}
