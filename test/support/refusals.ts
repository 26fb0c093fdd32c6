import { App, Stack } from 'aws-cdk-lib'
import { SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2'
import {
  AuroraPostgresEngineVersion,
  ClusterInstance,
  DatabaseCluster,
  DatabaseClusterEngine,
  DatabaseInstance,
  DatabaseInstanceEngine,
  PostgresEngineVersion,
} from 'aws-cdk-lib/aws-rds'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { expect } from 'vitest'
import { SessionReaper, type SessionReaperProps } from '../../infra/index.ts'

export const HOST = 'shop.c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com'
export const ACCOUNT = '210987654321'
export const arn = (name: string, region = 'eu-central-1', account = ACCOUNT, partition = 'aws') =>
  `arn:${partition}:secretsmanager:${region}:${account}:secret:${name}`
export const SECRET = arn('shop/slotkeeper-AbCdEf')
export const keyArn = (region = 'eu-central-1', resource = 'key/1234abcd') =>
  `arn:aws:kms:${region}:${ACCOUNT}:${resource}`

/** What both the construct and `cdk.json` take for a host. */
export const HOSTS: [string, string | undefined][] = [
  [HOST, undefined],
  [HOST.toUpperCase(), undefined],
  [`${HOST}.`, undefined],
  ['shop.cluster-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', undefined],
  ['proxy-db.c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', undefined],
  ['shop_1.corp.internal', undefined],
  ['10.0.9.7', undefined],
  ['fd00::7', undefined],
  ['', "expected the server's endpoint"],
  [` ${HOST}`, 'without blanks'],
  ['shop db.corp.internal', 'without blanks'],
  [`${HOST}\n`, 'without blanks'],
  [`postgres://${HOST}`, 'not a URL'],
  [`https://${HOST}/`, 'not a URL'],
  [`user@${HOST}`, 'not a URL'],
  [`${HOST}/shop`, 'not a URL'],
  ['/var/run/postgresql', 'not a URL or a path'],
  [`${HOST}:5432`, '"port" is its own key'],
  ['10.0.9.7:5432', '"port" is its own key'],
  ['[fd00::7]:5432', '"port" is its own key'],
  [`${HOST},other.corp.internal`, 'one host name'],
  ['shöp.corp.internal', 'one host name'],
  ['shop..internal', 'one host name'],
  [`${'a'.repeat(64)}.internal`, 'one host name'],
  ['*.rds.amazonaws.com', 'one host name'],
  ['localhost', 'the function itself'],
  ['127.0.0.1', 'the function itself'],
  ['::1', 'the function itself'],
  ['shop.cluster-ro-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', 'the reader endpoint'],
  ['shop.cluster-custom-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', 'a custom endpoint'],
  ['shop.proxy-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', 'a pooler'],
  ['read.endpoint.proxy-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', 'a pooler'],
  ['proxy-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', 'a pooler'],
]

/** Likewise for the ARN of a secret, in a stack of eu-central-1. */
export const SECRETS: [string, string | undefined][] = [
  [SECRET, undefined],
  [arn('rds!db-0b2f3c4d-1234-5678-9abc-0123456789ab-Cd5fGh'), undefined],
  [arn('shop/slotkeeper'), undefined],
  [arn('shop-AbCdEf', 'us-east-1'), 'the secret is in us-east-1, the stack in eu-central-1'],
  [arn('shop-AbCdEf', 'cn-north-1', ACCOUNT, 'aws-cn'), 'in partition aws-cn, the stack in aws'],
  [arn('shop-AbCdEf', 'eu-central-1', '999999999999'), 'expected its KMS key beside it'],
]

export const SHAPES: [string, string | undefined][] = [
  ['', "expected a secret's ARN"],
  ['shop/slotkeeper', "expected a secret's ARN"],
  [`arn:aws:rds:eu-central-1:${ACCOUNT}:db:shop`, "expected a secret's ARN"],
  [`${SECRET}:password::`, "expected a secret's ARN"],
  [arn('shop-reaper'), '"-reaper" can be the end of the name or the suffix'],
  [arn('shop-master'), 'leave it out'],
  [arn('shop-202411'), 'leave it out'],
  [arn('shop-reaper-AbCdEf'), undefined],
]

/** Names of databases and roles. */
export const DATABASES: [string, string | undefined][] = [
  ['shop', undefined],
  ['test', undefined],
  ['ä'.repeat(31), undefined],
  ['', 'expected a database name'],
  ['ä'.repeat(32), 'at most 63 bytes'],
  ['template0', 'no role may connect'],
  ['rdsadmin', 'no role may connect'],
]
export const USERS: [string, string | undefined][] = [
  ['slotkeeper', undefined],
  ['', 'expected a role name'],
  ['*', 'the name of one role'],
  ['slot?eeper', 'the name of one role'],
  [`\${aws:username}`, 'the name of one role'],
  ['u'.repeat(64), 'at most 63 bytes'],
]
export const RESOURCES: [string, string | undefined][] = [
  ['db-ABCDEFGHIJKL0123456789', undefined],
  ['cluster-ABCDEFGHIJKL0123456789', undefined],
  ['', 'expected "db-…"'],
  ['shop', 'expected the resource id'],
  ['*', 'expected the resource id'],
  ['db-*', 'expected the resource id'],
  ['prx-0123456789abcdef0', 'a pooler'],
]

export const STALE = { name: 'stale', state: 'idle', olderThan: '15m' }

type Found = string | undefined

/** What a call refuses, or nothing. */
export function refusalOf(run: () => unknown): Found {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}

export function expectRefusal(found: Found, path: string, said: string | undefined) {
  if (said === undefined) return expect(found).toBeUndefined()
  expect(found).toContain(`${path}: `)
  expect(found).toContain(said)
  expect(found).not.toContain('problems')
}

export const target = { name: 'shop', host: HOST, secretArn: SECRET, mode: 'observe' }
export const iam = {
  name: 'shop',
  host: HOST,
  iamUser: 'slotkeeper',
  resourceId: 'db-ABCDEF',
  mode: 'observe',
}
export const network = {
  vpcId: 'vpc-0a1b2c3d',
  subnets: [{ id: 'subnet-0a1b2c3d4e5f60718', availabilityZone: 'eu-central-1a' }],
  securityGroupId: 'sg-0a1b2c3d4e5f60718',
}

export const newStack = (env: object = { account: ACCOUNT, region: 'eu-central-1' }) =>
  new Stack(new App(), 'Test', { env })

/** Properties as JavaScript has them: of any type, and made in the stack. */
export type Different = (stack: Stack) => Record<string, unknown>

export const construct = (different: Different, stack = newStack()) => {
  const props = {
    database: { host: HOST },
    auth: { secret: Secret.fromSecretCompleteArn(stack, 'Secret', SECRET) },
    mode: 'observe',
    ...different(stack),
  }
  return new SessionReaper(stack, 'Shop', props as unknown as SessionReaperProps)
}

export const instanceOf = (stack: Stack, engine = POSTGRES) =>
  new DatabaseInstance(stack, 'Db', { engine, vpc: new Vpc(stack, 'Vpc') })
const POSTGRES = DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 })
export const clusterOf = (stack: Stack) =>
  new DatabaseCluster(stack, 'Db', {
    engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_16_6 }),
    writer: ClusterInstance.serverlessV2('writer'),
    readers: [ClusterInstance.serverlessV2('reader')],
    vpc: new Vpc(stack, 'Vpc'),
  })

export const WRITER = 'shop.cluster-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com'
export const importedCluster = (stack: Stack, attributes: object) => ({
  database: DatabaseCluster.fromDatabaseClusterAttributes(stack, 'Imported', {
    clusterIdentifier: 'shop',
    ...attributes,
  }),
})
export const importedInstance = (stack: Stack, attributes: object = {}) => ({
  database: DatabaseInstance.fromDatabaseInstanceAttributes(stack, 'Imported', {
    instanceIdentifier: 'shop',
    instanceEndpointAddress: HOST,
    port: 5432,
    securityGroups: [SecurityGroup.fromSecurityGroupId(stack, 'Group', 'sg-0a1b2c3d')],
    ...attributes,
  }),
})
