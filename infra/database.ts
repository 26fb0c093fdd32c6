import { ArnFormat, Stack, Tokenization } from 'aws-cdk-lib'
import type { IConnectable } from 'aws-cdk-lib/aws-ec2'
import { Effect, type IGrantable, type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { Endpoint, IDatabaseCluster, IDatabaseInstance } from 'aws-cdk-lib/aws-rds'
import type { IConstruct, IDependable } from 'constructs'
import { regionOfHost } from './hosts.ts'

/**
 * A server that is given by its address instead of a CDK object.
 * @example { host: 'shop.abcdefghijkl.eu-central-1.rds.amazonaws.com' }
 */
export interface DatabaseAddress {
  /**
   * The RDS endpoint of the server. An alias of your own does not work, because the function checks this
   * name against the server's certificate.
   * @example 'shop.abcdefghijkl.eu-central-1.rds.amazonaws.com'
   */
  readonly host: string
  /**
   * The port of the server.
   * @example 5433
   * @default 5432
   */
  readonly port?: number
  /**
   * The resource id that RDS gave the server (`DbiResourceId` or `DbClusterResourceId`). It is required
   * for IAM authentication, because the IAM policy names it.
   * @example 'db-ABCDEFGHIJKLMNOPQRSTUVWXYZ'
   * @default - none
   */
  readonly resourceId?: string
  /**
   * Whether to sweep every instance of an Aurora cluster. `host` is then the endpoint of the cluster.
   * @example true
   * @default false
   */
  readonly cluster?: boolean
}

/**
 * The server to sweep: an RDS instance, an Aurora cluster, or an address. For a cluster, the reaper sweeps every
 * instance that the cluster has at that moment.
 */
export type Database = IDatabaseInstance | IDatabaseCluster | DatabaseAddress

/** Host and port for the function's variables. */
export function addressOf(database: Database, endpoint?: Endpoint): { host: string; port: string } {
  if ('host' in database) return { host: database.host, port: String(database.port ?? 5432) }
  const { hostname, port } =
    endpoint ??
    ('clusterEndpoint' in database ? database.clusterEndpoint : database.instanceEndpoint)
  return { host: hostname, port: Tokenization.stringifyNumber(port) }
}

/** Whether the target is a whole cluster, and not one server. */
export function isWholeCluster(database: Database, endpoint?: Endpoint): boolean {
  if ('host' in database) return database.cluster === true
  return 'clusterEndpoint' in database && endpoint === undefined
}

/**
 * Opens the database's security group, if it has one, to the function. The rule is in the function's
 * stack: in the database's stack it would make a circular dependency.
 * @returns what holds the rules, so that others can depend on it
 */
export function admit(database: Database, from: IConnectable): IDependable[] {
  if ('host' in database) return []
  const { securityGroups: servers, defaultPort } = database.connections
  const functions = from.connections.securityGroups
  if (defaultPort === undefined) return []
  for (const server of servers) {
    for (const group of functions) {
      server.addIngressRule(group, defaultPort, 'Slotkeeper', true)
      // If the group already allows all traffic, the CDK would ignore this rule with a warning.
      if (!group.allowAllOutbound) group.addEgressRule(server, defaultPort, 'Slotkeeper')
    }
  }
  return [...servers, ...functions]
}

/** Allows the role to connect by IAM authentication as this database user only. */
export function grantConnect(
  scope: IConstruct,
  database: Database,
  role: IRole & IGrantable,
  user: string,
): void {
  if (!('host' in database)) {
    database.grantConnect(role, user)
    return
  }
  const resourceName = `${database.resourceId}/${user}`
  const arn = Stack.of(scope).formatArn({
    service: 'rds-db',
    resource: 'dbuser',
    resourceName,
    // The function signs its token for the server's region, so the permission must name that region.
    region: regionOfHost(database.host),
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  })
  role.addToPrincipalPolicy(
    new PolicyStatement({ effect: Effect.ALLOW, actions: ['rds-db:connect'], resources: [arn] }),
  )
}
