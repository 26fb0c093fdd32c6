import { ArnFormat, Stack, Tokenization } from 'aws-cdk-lib'
import type { IConnectable } from 'aws-cdk-lib/aws-ec2'
import { Effect, type IGrantable, type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { Endpoint, IDatabaseCluster, IDatabaseInstance } from 'aws-cdk-lib/aws-rds'
import type { IConstruct, IDependable } from 'constructs'
import { regionOfHost } from './hosts.ts'

/**
 * A server known by its address alone.
 * @example { host: 'shop.abcdefghijkl.eu-central-1.rds.amazonaws.com' }
 */
export interface DatabaseAddress {
  /**
   * The name in its certificate: the endpoint itself, not an alias of yours.
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
   * What RDS calls the server; needed for IAM authentication, which names it in the policy.
   * @example 'db-ABCDEFGHIJKLMNOPQRSTUVWXYZ'
   * @default - none
   */
  readonly resourceId?: string
}

/** What is swept. Of a cluster, the writer: each further instance is a target of its own. */
export type Database = IDatabaseInstance | IDatabaseCluster | DatabaseAddress

/** Host and port as the function's variables have them. */
export function addressOf(database: Database, endpoint?: Endpoint): { host: string; port: string } {
  if ('host' in database) return { host: database.host, port: String(database.port ?? 5432) }
  const { hostname, port } =
    endpoint ??
    ('clusterEndpoint' in database ? database.clusterEndpoint : database.instanceEndpoint)
  return { host: hostname, port: Tokenization.stringifyNumber(port) }
}

/**
 * Opens the database's own security group to the function, where it has one. The rule stands in the
 * function's stack: in the database's it would close a circle.
 * @returns what holds the rule, for those who wait for it
 */
export function admit(database: Database, from: IConnectable): IDependable[] {
  if ('host' in database) return []
  const { securityGroups: servers, defaultPort } = database.connections
  const functions = from.connections.securityGroups
  if (defaultPort === undefined) return []
  for (const server of servers) {
    for (const group of functions) {
      server.addIngressRule(group, defaultPort, 'Slotkeeper', true)
      // Beside a rule for everything the CDK would leave another one out, and warn of it.
      if (!group.allowAllOutbound) group.addEgressRule(server, defaultPort, 'Slotkeeper')
    }
  }
  return [...servers, ...functions]
}

/** Lets the role connect as one database user by IAM authentication, and as no other. */
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
    // The function signs its token for the region of the server.
    region: regionOfHost(database.host),
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  })
  role.addToPrincipalPolicy(
    new PolicyStatement({ effect: Effect.ALLOW, actions: ['rds-db:connect'], resources: [arn] }),
  )
}
