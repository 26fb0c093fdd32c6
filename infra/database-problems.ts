import { Stack, Token } from 'aws-cdk-lib'
import type {
  CfnDBInstance,
  Endpoint,
  IDatabaseCluster,
  IDatabaseInstance,
} from 'aws-cdk-lib/aws-rds'
import type { IConstruct } from 'constructs'
import { readClusterHost } from '../lambda/core/cluster-host.ts'
import { shown } from './checked.ts'
import { type DatabaseAddress, isWholeCluster } from './database.ts'
import { hostProblem, targetHostProblem } from './hosts.ts'
import { isPlaceholder } from './placeholders.ts'
import type { IamAuth, SessionReaperProps } from './props.ts'

type Sound = Partial<SessionReaperProps>

/** Problems of the property `database`, and of other properties together with it. */
export function databaseProblems(scope: IConstruct, sound: Sound): string[] {
  const { database } = sound
  if (database === undefined) return []
  const problems =
    'host' in database ? addressProblems(scope, database, sound) : serverProblems(database, sound)
  if (isWholeCluster(database, sound.endpoint)) return [...problems, ...searchProblems(sound)]
  if (!sound.autoPause) return problems
  return [...problems, 'autoPause: expected a whole cluster beside it, and no endpoint']
}

/** The dashboard of a cluster searches for the metrics of its instances, by these two names in quotes. */
function searchProblems(sound: Sound): string[] {
  return (['target', 'namespace'] as const)
    .filter((name) => /['"\\]/.test(sound[name] ?? ''))
    .map((name) => `${name}: expected no quotes and no backslash in the ${name} of a cluster`)
}

function addressProblems(
  scope: IConstruct,
  { host, resourceId, cluster = false }: DatabaseAddress,
  { endpoint, auth, autoPause = false, createRole }: Sound,
): string[] {
  const problems: string[] = []
  // Another check has the problems of a host on its own.
  const problem = isOpen(host) || hostProblem(host) ? undefined : targetHostProblem(host, cluster)
  if (problem !== undefined) {
    problems.push(`database.host: ${problem}, found ${shown('host', host)}`)
  }
  if (cluster) {
    const wishes = { autoPause, createRole: createRole !== undefined }
    problems.push(...clusterProblems('database', { host, resourceId }, wishes))
  }
  if (!Token.isUnresolved(Stack.of(scope).account) && isPlaceholder(host)) {
    problems.push(
      `database.host: ${shown('host', host)} is a placeholder; expected the endpoint of your server`,
    )
  }
  if (endpoint) {
    problems.push('endpoint: expected none beside database.host, which is the endpoint')
  }
  if (iamUserOf(auth) !== undefined && resourceId === undefined) {
    problems.push(
      'database.resourceId: missing; expected "db-…" or "cluster-…", which IAM authentication needs',
    )
  }
  return problems
}

/** Whether only the deployment knows the host, or another check refuses it. */
function isOpen(host: string): boolean {
  return Token.isUnresolved(host) || isPlaceholder(host)
}

/** Problems of a whole cluster that is given by its address, in the construct and in `cdk.json`. */
export function clusterProblems(
  path: string,
  { host, resourceId }: { host: string; resourceId?: string | undefined },
  wishes: { autoPause: boolean; createRole: boolean },
): string[] {
  const problems: string[] = []
  if (resourceId?.startsWith('db-')) {
    problems.push(
      `${path}.resourceId: expected that of the cluster, "cluster-…", which covers all of its instances`,
    )
  }
  const read = readClusterHost(host)
  const leadsTo = read.ok ? read.value.leadsTo : 'writer'
  if (wishes.createRole && leadsTo !== 'writer') {
    problems.push(
      `${path}.host: expected the cluster's own endpoint, which leads to the writer: the role can only be created there`,
    )
  }
  if (wishes.autoPause && leadsTo === 'custom') {
    problems.push(
      `${path}.host: expected the cluster's own endpoint: autoPause needs the identifier of the cluster, which a custom endpoint does not tell`,
    )
  }
  return problems
}

function serverProblems(
  database: IDatabaseInstance | IDatabaseCluster,
  { vpc, createRole, auth, endpoint }: Sound,
): string[] {
  const problems: string[] = []
  if (!vpc) {
    problems.push(
      'vpc: missing; expected the VPC of the rds instance or cluster (a publicly accessible server needs no VPC: use database: { host })',
    )
  }
  if (createRole && isReplica(database)) {
    problems.push('createRole: expected none beside a read replica, which takes no CREATE ROLE')
  }
  if (iamUserOf(auth) !== undefined) problems.push(...identityProblems(database))
  return [...problems, ...endpointProblems(database, endpoint)]
}

function identityProblems(database: IDatabaseInstance | IDatabaseCluster): string[] {
  const [id, name] =
    'clusterEndpoint' in database
      ? [told(() => database.clusterResourceIdentifier), 'clusterResourceIdentifier']
      : [database.instanceResourceId, 'instanceResourceId']
  if (id !== undefined) return []
  return [
    `database: expected one that was imported with its ${name}, which IAM authentication needs`,
  ]
}

function isReplica({ node }: IDatabaseInstance | IDatabaseCluster): boolean {
  const resource = node.defaultChild as Partial<CfnDBInstance> | undefined
  return resource?.sourceDbInstanceIdentifier !== undefined
}

function endpointProblems(
  database: IDatabaseInstance | IDatabaseCluster,
  endpoint?: Endpoint,
): string[] {
  if (!('clusterEndpoint' in database)) {
    if (endpoint) return ['endpoint: expected none beside an instance, which has one endpoint']
    return hostProblems('database', database.instanceEndpoint)
  }
  const writer = told(() => database.clusterEndpoint)
  if (endpoint === undefined) {
    if (writer) return writerProblems(writer)
    return ['database: expected a cluster that was imported with its endpoint and port']
  }
  if (endpoint.hostname === told(() => database.clusterReadEndpoint.hostname)) {
    return [
      'endpoint: this is the reader endpoint, which leads to a different instance with each connection; expected one of instanceEndpoints',
    ]
  }
  return hostProblems('endpoint', endpoint)
}

/** What an imported cluster gives as its own endpoint must be that, and not one of its other endpoints. */
function writerProblems(writer: Endpoint): string[] {
  const { hostname } = writer
  const read = Token.isUnresolved(hostname) ? undefined : readClusterHost(hostname)
  if (!read?.ok || read.value.leadsTo === 'writer') return hostProblems('database', writer, true)
  const kind = read.value.leadsTo === 'reader' ? 'the reader endpoint' : 'a custom endpoint'
  return [
    `database: this is ${kind}; expected a cluster that was imported with its own endpoint, found ${shown('database', hostname)}`,
  ]
}

/** Problems of an endpoint that synthesis knows, which is one of an imported server. */
function hostProblems(path: string, { hostname }: Endpoint, cluster = false): string[] {
  const problem = Token.isUnresolved(hostname) ? undefined : targetHostProblem(hostname, cluster)
  return problem === undefined ? [] : [`${path}: ${problem}, found ${shown(path, hostname)}`]
}

function iamUserOf(auth: Sound['auth']): string | undefined {
  return (auth as Partial<IamAuth> | undefined)?.iamUser
}

/** The value, or undefined. An imported server throws if it was imported without this value. */
function told<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
