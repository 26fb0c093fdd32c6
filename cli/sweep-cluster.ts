import { createCluster } from '../lambda/cluster.ts'
import type { Policy } from '../lambda/core/policy.ts'
import type { Mode } from '../lambda/core/report.ts'
import { safeJson } from '../lambda/core/text.ts'
import { SlotkeeperError } from '../lambda/errors.ts'
import { deadlineIn, SWEEP_MS } from '../lambda/postgres/gate.ts'
import { createTarget } from '../lambda/target.ts'
import { openCluster } from './cluster-option.ts'
import type { Connection } from './connection.ts'
import { writeOut } from './show.ts'
import { showCluster } from './show-cluster.ts'

type Order = {
  mode: Mode
  policy: Policy
  /** A file or the name of a policy. Undefined if the caller gave none. */
  policyName: string | undefined
  json: boolean
  all: boolean
}

/**
 * Sweeps each instance of a cluster once and prints them side by side. Returns the exit code, which is 1 if the
 * server refused a reap or an instance could not be swept.
 * @throws SlotkeeperError if no instance could be swept
 */
export async function runClusterSweep(connection: Connection, order: Order): Promise<number> {
  const members = openCluster(connection)
  const { mode, policy, policyName, json, all } = order
  const cluster = createCluster(connection.target, members, (target, gate) =>
    createTarget(target, policy, gate),
  )
  try {
    const swept = await cluster.sweep(mode, deadlineIn(SWEEP_MS))
    const failures = swept.instances.flatMap(({ result }) =>
      result instanceof SlotkeeperError ? [result] : [],
    )
    const [first] = failures
    if (first !== undefined && failures.length === swept.instances.length) throw first
    if (json) writeOut(safeJson(swept.report))
    else writeOut(showCluster(swept, { policy, policyName, all }))
    const isClean = swept.instances.every(({ result, counts }) =>
      result instanceof SlotkeeperError ? !counts : result.report.refused.length === 0,
    )
    return isClean ? 0 : 1
  } finally {
    await members.close()
  }
}
