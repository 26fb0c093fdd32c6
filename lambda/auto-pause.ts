import { readUsage, type Subject } from './aws/usage.ts'
import type { ClusterHost } from './core/cluster-host.ts'
import { regionOf } from './core/endpoint.ts'
import { type Away, reasonToStayAway, type Stay } from './core/pause.ts'
import { SlotkeeperError } from './errors.ts'

/** Decides before each sweep to which parts of a cluster no connection may be made, so that it can pause. */
export type AutoPause = {
  /** Why no connection may be made to the cluster at all. @throws SlotkeeperError if CloudWatch does not say */
  ofCluster(host: ClusterHost): Promise<Away | undefined>
  /** Why no connection may be made to some of the instances. @throws SlotkeeperError if CloudWatch does not say */
  ofInstances(host: ClusterHost, ids: string[]): Promise<Map<string, Away>>
  /** Notes which instances this function is now connected to. All other connections are closed. */
  connected(ids: string[]): void
}

/** Creates the decisions of a function that has made no connection yet. */
export function createAutoPause(): AutoPause {
  const stays = new Map<string, Stay>()
  /** RDS counts the connections of the instance that has the most. */
  const whole = (): Stay | undefined => {
    const all = [...stays.values()]
    if (all.length === 0) return undefined
    return {
      fromMs: Math.min(...all.map(({ fromMs }) => fromMs)),
      toMs: Math.max(...all.map(({ toMs }) => toMs)),
    }
  }
  return {
    async ofCluster(host) {
      if (host.leadsTo === 'custom') throw noIdentifier(host)
      const subject: Subject = { dimension: 'DBClusterIdentifier', id: host.name }
      const [usage] = await readUsage([subject], regionOf(host.host))
      return usage && reasonToStayAway(usage, whole())
    },
    async ofInstances(host, ids) {
      const subjects = ids.map((id): Subject => ({ dimension: 'DBInstanceIdentifier', id }))
      const usages = await readUsage(subjects, regionOf(host.host))
      return new Map(
        ids.flatMap((id, index) => {
          const usage = usages[index]
          const away = usage && reasonToStayAway(usage, stays.get(id))
          return away === undefined ? [] : [[id, away] as const]
        }),
      )
    },
    connected(ids) {
      const now = Date.now()
      for (const [id, stay] of stays) {
        if (!ids.includes(id) && stay.toMs > now) stays.set(id, { ...stay, toMs: now })
      }
      for (const id of ids) {
        const stay = stays.get(id)
        const isOn = stay !== undefined && stay.toMs > now
        if (!isOn) stays.set(id, { fromMs: now, toMs: Number.POSITIVE_INFINITY })
      }
    },
  }
}

/** The name of a custom endpoint is not that of the cluster. */
function noIdentifier({ host }: ClusterHost): SlotkeeperError {
  return new SlotkeeperError(
    'settings',
    `SLOTKEEPER_AUTO_PAUSE: the host ${host} is a custom endpoint, which does not tell the identifier of its cluster; expected the cluster's own endpoint`,
  )
}
