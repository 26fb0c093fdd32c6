import { Annotations, Stack } from 'aws-cdk-lib'
import type { Endpoint, IDatabaseCluster } from 'aws-cdk-lib/aws-rds'
import type { IConstruct } from 'constructs'
import { addressOf, type Database } from './database.ts'
import type { SessionReaperProps } from './props.ts'

type SweepResult = {
  by: IConstruct
  address: string
  cluster?: IDatabaseCluster
  /** Whether it sweeps the whole cluster, or uses the cluster's own endpoint, which leads to any of its instances. */
  whole: boolean
}

/** What the reapers of each app sweep, by the root construct of the app. */
const apps = new WeakMap<IConstruct, SweepResult[]>()

/**
 * Warns if two reapers sweep the same server: one policy may end what the other policy protects. It is
 * not an error, because one of the two may only observe, to try another policy.
 */
export function warnOfSecondSweep(by: IConstruct, database: Database, endpoint?: Endpoint): void {
  const swept = sweptBy(by, database, endpoint)
  const earlier = apps.get(by.node.root) ?? []
  apps.set(by.node.root, [...earlier, swept])
  const messages = earlier.flatMap((other) => {
    if (other.address === swept.address) {
      return [
        `${other.by.node.path} sweeps the same server: one policy may end what the other policy protects`,
      ]
    }
    if (swept.cluster === undefined || other.cluster !== swept.cluster) return []
    if (other.whole === swept.whole) return []
    return [
      `${other.by.node.path} sweeps the same cluster: one of the two sweeps every instance of it, and the other sweeps one of them; expected either one reaper without an endpoint, or one reaper for each of instanceEndpoints`,
    ]
  })
  for (const message of new Set(messages)) {
    Annotations.of(by).addWarningV2('slotkeeper:sweptTwice', message)
  }
}

function sweptBy(by: IConstruct, database: Database, endpoint?: Endpoint): SweepResult {
  const addressIn = (at?: Endpoint) => {
    const { host, port } = addressOf(database, at)
    return `${host.toLowerCase()}:${port}`
  }
  const address = addressIn(endpoint)
  if (!('clusterEndpoint' in database)) return { by, address, whole: false }
  return { by, address, cluster: database, whole: !endpoint || address === addressIn() }
}

/** Which reaper has which name in the metrics of an account and region, by the root construct of the app. */
const names = new WeakMap<IConstruct, Map<string, string>>()

/** Two reapers with one name would publish into the same metrics, and each alarm would watch both. */
export function nameProblems(
  by: IConstruct,
  { target, namespace = 'Slotkeeper' }: Pick<SessionReaperProps, 'target' | 'namespace'>,
): string[] {
  const { account, region } = Stack.of(by)
  const key = JSON.stringify([account, region, namespace, target])
  const taken = names.get(by.node.root) ?? new Map<string, string>()
  names.set(by.node.root, taken)
  const other = taken.get(key)
  if (other !== undefined) {
    return [`target: expected a unique name, found "${target}", which ${other} has`]
  }
  taken.set(key, by.node.path)
  return []
}
