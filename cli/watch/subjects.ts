import { createCluster } from '../../lambda/cluster.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import type { Gate } from '../../lambda/postgres/gate.ts'
import { createGate } from '../../lambda/postgres/gate.ts'
import { createTarget, type TargetSweep } from '../../lambda/target.ts'
import { openCluster } from '../cluster-option.ts'
import type { Connection } from '../connection.ts'
import type { ClusterSight } from './cluster.ts'
import { isInReserve, type Sweepable } from './loop.ts'
import type { Subject } from './picture.ts'

/** One server. */
export function openTarget(
  { target: name, credentials, tls }: Connection,
  { policy }: Subject,
): Sweepable<TargetSweep> {
  const target = createTarget(name, policy, createGate(credentials, tls))
  return {
    async sweep(mode, deadline) {
      const swept = await target.sweep(mode, deadline)
      if (isInReserve(swept.report)) await target.close()
      return swept
    },
    close: target.close,
  }
}

/** All instances of a cluster. A sweep fails if that of every instance fails. */
export function openInstances(
  connection: Connection,
  { policy }: Subject,
): Sweepable<ClusterSight> {
  const members = openCluster(connection)
  const targetOf = (name: string, gate: Gate) => createTarget(name, policy, gate)
  const cluster = createCluster(connection.target, members, targetOf)
  return {
    async sweep(mode, deadline) {
      const { instances } = await cluster.sweep(mode, deadline)
      const failures = instances.map(({ result }) => result instanceof SlotkeeperError && result)
      if (failures[0] && !failures.includes(false)) throw failures[0]
      await Promise.all(
        instances.map(({ id, result }) =>
          !(result instanceof SlotkeeperError) && isInReserve(result.report)
            ? members.close(id)
            : undefined,
        ),
      )
      return instances
    },
    close: () => members.close(),
  }
}
