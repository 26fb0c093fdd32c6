/** What RDS says of an instance or a cluster, as far as a target needs it. */
export type Described = {
  id: string
  engine: string
  /** The endpoint; undefined while the server is being created. */
  host?: string | undefined
  port?: number | undefined
  resourceId?: string | undefined
  arn?: string | undefined
  status?: string | undefined
  iamEnabled: boolean
  /** Of an Aurora Serverless cluster: it pauses if this is 0. */
  leastCapacity?: number | undefined
  tags: { key: string; value: string }[]
}

export type Rds = { instances: Described[]; clusters: Described[] }

/** A target in `cdk.json`. The keys that RDS knows are first; a person may add others. */
export type FleetTarget = { name: string } & Record<string, unknown>

/** How the sweeps log in: as a role with IAM tokens, or with a secret whose name has the target's in it. */
export type Way = { iamUser: string } | { secret: string }

/** A tag that a server must have; without a value, any value will do. */
export type Tag = { key: string; value?: string }

const POSTGRES_PORT = 5432

/** The targets of a fleet, and what a person should know of them. */
export type Fleet = { targets: FleetTarget[]; notes: string[] }

/**
 * The targets for the servers that RDS describes, sorted by name: each PostgreSQL instance, and each Aurora PostgreSQL
 * cluster as a whole. The instances of a Multi-AZ cluster are targets of their own.
 */
export function fleetOf({ instances, clusters }: Rds, tags: Tag[], way: Way): Fleet {
  const wanted = [
    ...instances
      .filter(({ engine }) => engine === 'postgres')
      .map((server) => ({ server, cluster: false })),
    ...clusters
      .filter(({ engine }) => engine === 'aurora-postgresql')
      .map((server) => ({ server, cluster: true })),
  ].filter(({ server }) => hasTags(server, tags))
  const notes: string[] = []
  const targets = wanted.flatMap(({ server, cluster }) => {
    const { id, host, status = 'unknown', iamEnabled } = server
    if (host === undefined || status === 'deleting') {
      notes.push(`${id} is left out: its status is ${status}`)
      return []
    }
    if ('iamUser' in way && !iamEnabled) {
      notes.push(`${id}: IAM authentication is off, and its target logs in with IAM tokens`)
    }
    // An instance and a cluster may have the same identifier.
    const taken = cluster && wanted.some((other) => !other.cluster && other.server.id === id)
    const name = taken ? `${id}-cluster` : id
    return [targetOf(name, { ...server, host }, cluster, way)]
  })
  return { targets: targets.sort(byName), notes: notes.sort() }
}

function targetOf(
  name: string,
  { host, port, resourceId, arn, leastCapacity }: Described,
  cluster: boolean,
  way: Way,
): FleetTarget {
  return {
    name,
    host,
    ...(port !== undefined && port !== POSTGRES_PORT && { port }),
    ...(cluster && { cluster }),
    ...(cluster && leastCapacity === 0 && { autoPause: true }),
    ...('iamUser' in way
      ? { resourceId, iamUser: way.iamUser }
      : { secretArn: secretArn(arn ?? '', way.secret.replaceAll('{name}', name)) }),
    mode: 'observe',
  }
}

/** The ARN of a secret in the region and account of a server, without the suffix that Secrets Manager adds. */
function secretArn(serverArn: string, name: string): string {
  const [, partition, , region, account] = serverArn.split(':')
  return `arn:${partition}:secretsmanager:${region}:${account}:secret:${name}`
}

function hasTags({ tags }: Described, wanted: Tag[]): boolean {
  return wanted.every(({ key, value }) =>
    tags.some((tag) => tag.key === key && (value === undefined || tag.value === value)),
  )
}

/** By code units, so that the order is the same on every computer. */
function byName(one: FleetTarget, other: FleetTarget): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0
}

/** What a new fleet makes of the targets of a file. */
export type Merged = {
  targets: FleetTarget[]
  added: string[]
  changed: string[]
  /** Their stacks go on sweeping until they are destroyed. */
  removed: string[]
}

/**
 * Brings the targets of a file up to date. A target that stays keeps its own keys, such as `mode` and `policy`, and
 * how it logs in. Only what RDS decides is taken from the new fleet: `host`, `port`, `cluster` and `resourceId`.
 */
export function merge(before: FleetTarget[], fleet: FleetTarget[]): Merged {
  const known = new Map(before.map((target) => [target.name, target]))
  const targets = fleet.map((target) => {
    const own = known.get(target.name)
    return own === undefined ? target : refreshed(own, target)
  })
  const names = new Set(targets.map(({ name }) => name))
  return {
    targets,
    added: targets.filter(({ name }) => !known.has(name)).map(({ name }) => name),
    changed: targets
      .filter((target) => known.has(target.name) && !isSame(target, known.get(target.name)))
      .map(({ name }) => name),
    removed: before.filter(({ name }) => !names.has(name)).map(({ name }) => name),
  }
}

/** The order of the keys stays, so that a diff shows only what changed. JSON leaves out an undefined value. */
function refreshed(
  own: FleetTarget,
  { host, port, cluster, resourceId }: FleetTarget,
): FleetTarget {
  const logsInByIam = own.resourceId !== undefined && resourceId !== undefined
  return { ...own, host, port, cluster, ...(logsInByIam && { resourceId }) }
}

function isSame(one: FleetTarget, other: FleetTarget | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** The text of the file: one target a line, so that a review of its diff shows one line for each. */
export function write(targets: FleetTarget[]): string {
  const lines = targets.map((target) => `  ${JSON.stringify(target)}`)
  return lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n`
}
