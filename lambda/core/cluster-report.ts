import type { Away } from './pause.ts'
import type { Mode, Report } from './report.ts'

/** An instance that could not be swept. */
export type InstanceFailure = {
  /** `TARGET/INSTANCE`. */
  target: string
  /** `kind` is one of `errors.ts`. */
  error: { kind: string; message: string }
}

/** What the handler returns for a whole cluster, and `--cluster --json` prints. */
export type ClusterReport = {
  target: string
  mode: Mode
  /** When the list of instances was read, by the clock of the instance that gave it (ISO 8601, UTC). */
  at: string
  durationMs: number
  /** The writer first, then the others by name. Each `target` is `TARGET/INSTANCE`. */
  instances: (Report | InstanceFailure)[]
  /** With auto-pause: why no connection was made to the cluster or to some instances of it, by their targets. */
  stayedAway?: ({ target: string } & Away)[]
}

/** The name of one instance of a cluster in reports and logs. */
export function instanceTarget(target: string, id: string): string {
  return `${target}/${id}`
}

/** Whether an instance could not be swept. */
export function isFailure(instance: Report | InstanceFailure): instance is InstanceFailure {
  return 'error' in instance
}
