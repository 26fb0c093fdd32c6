import { Stack, Token } from 'aws-cdk-lib'
import type {
  CfnDBInstance,
  Endpoint,
  IDatabaseCluster,
  IDatabaseInstance,
} from 'aws-cdk-lib/aws-rds'
import type { IConstruct } from 'constructs'
import { shown } from './checked.ts'
import type { DatabaseAddress } from './database.ts'
import { hostProblem } from './hosts.ts'
import { isPlaceholder } from './placeholders.ts'
import type { IamAuth, SessionReaperProps } from './props.ts'

type Sound = Partial<SessionReaperProps>

/** Problems of the property `database`, and of other properties together with it. */
export function databaseProblems(scope: IConstruct, sound: Sound): string[] {
  const { database } = sound
  if (database === undefined) return []
  return 'host' in database
    ? addressProblems(scope, database, sound)
    : serverProblems(database, sound)
}

function addressProblems(
  scope: IConstruct,
  { host, resourceId }: DatabaseAddress,
  { endpoint, auth }: Sound,
): string[] {
  const problems: string[] = []
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
    if (writer) return hostProblems('database', writer)
    return ['database: expected a cluster that was imported with its endpoint and port']
  }
  if (endpoint.hostname === told(() => database.clusterReadEndpoint.hostname)) {
    return [
      'endpoint: this is the reader endpoint, which leads to a different instance with each connection; expected one of instanceEndpoints',
    ]
  }
  return hostProblems('endpoint', endpoint)
}

/** Problems of an endpoint that synthesis knows, which is one of an imported server. */
function hostProblems(path: string, { hostname }: Endpoint): string[] {
  const problem = Token.isUnresolved(hostname) ? undefined : hostProblem(hostname)
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
