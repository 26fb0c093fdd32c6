import { App, Aws, CfnParameter, Duration, Fn, Stack } from 'aws-cdk-lib'
import { Annotations, Match } from 'aws-cdk-lib/assertions'
import { InstanceType, SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2'
import {
  AuroraPostgresEngineVersion,
  ClusterInstance,
  DatabaseCluster,
  DatabaseClusterEngine,
  DatabaseInstance,
  DatabaseInstanceEngine,
  DatabaseInstanceReadReplica,
  Endpoint,
  MysqlEngineVersion,
  PostgresEngineVersion,
} from 'aws-cdk-lib/aws-rds'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { describe, expect, test } from 'vitest'
import { readContext } from '../../infra/context.ts'
import { SessionReaper, type SessionReaperProps } from '../../infra/index.ts'

const HOST = 'shop.c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com'
const ACCOUNT = '210987654321'
const arn = (name: string, region = 'eu-central-1', account = ACCOUNT, partition = 'aws') =>
  `arn:${partition}:secretsmanager:${region}:${account}:secret:${name}`
const SECRET = arn('shop/slotkeeper-AbCdEf')
const keyArn = (region = 'eu-central-1', resource = 'key/1234abcd') =>
  `arn:aws:kms:${region}:${ACCOUNT}:${resource}`

/** What both the construct and `cdk.json` take for a host. */
const HOSTS: [string, string | undefined][] = [
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
const SECRETS: [string, string | undefined][] = [
  [SECRET, undefined],
  [arn('rds!db-0b2f3c4d-1234-5678-9abc-0123456789ab-Cd5fGh'), undefined],
  [arn('shop/slotkeeper'), undefined],
  [arn('shop-AbCdEf', 'us-east-1'), 'the secret is in us-east-1, the stack in eu-central-1'],
  [arn('shop-AbCdEf', 'cn-north-1', ACCOUNT, 'aws-cn'), 'in partition aws-cn, the stack in aws'],
  [arn('shop-AbCdEf', 'eu-central-1', '999999999999'), 'expected its KMS key beside it'],
]

const SHAPES: [string, string | undefined][] = [
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
const DATABASES: [string, string | undefined][] = [
  ['shop', undefined],
  ['test', undefined],
  ['ä'.repeat(31), undefined],
  ['', 'expected a database name'],
  ['ä'.repeat(32), 'at most 63 bytes'],
  ['template0', 'nobody may connect'],
  ['rdsadmin', 'nobody may connect'],
]
const USERS: [string, string | undefined][] = [
  ['slotkeeper', undefined],
  ['', 'expected a role name'],
  ['*', 'the name of one role'],
  ['slot?eeper', 'the name of one role'],
  [`\${aws:username}`, 'the name of one role'],
  ['u'.repeat(64), 'at most 63 bytes'],
]
const RESOURCES: [string, string | undefined][] = [
  ['db-ABCDEFGHIJKL0123456789', undefined],
  ['cluster-ABCDEFGHIJKL0123456789', undefined],
  ['', 'expected "db-…"'],
  ['shop', 'expected the resource id'],
  ['*', 'expected the resource id'],
  ['db-*', 'expected the resource id'],
  ['prx-0123456789abcdef0', 'a pooler'],
]

const STALE = { name: 'stale', state: 'idle', olderThan: '15m' }

type Found = string | undefined

/** What a call refuses, or nothing. */
function refusalOf(run: () => unknown): Found {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}

function expectRefusal(found: Found, path: string, said: string | undefined) {
  if (said === undefined) return expect(found).toBeUndefined()
  expect(found).toContain(`${path}: `)
  expect(found).toContain(said)
  expect(found).not.toContain('problems')
}

const target = { name: 'shop', host: HOST, secretArn: SECRET, mode: 'observe' }
const iam = {
  name: 'shop',
  host: HOST,
  iamUser: 'slotkeeper',
  resourceId: 'db-ABCDEF',
  mode: 'observe',
}
const network = {
  vpcId: 'vpc-0a1b2c3d',
  subnets: [{ id: 'subnet-0a1b2c3d4e5f60718', availabilityZone: 'eu-central-1a' }],
  securityGroupId: 'sg-0a1b2c3d4e5f60718',
}

describe('cdk.json', () => {
  const DEPLOYED = { account: ACCOUNT, region: 'eu-central-1' }
  const read = (different: object, deployment = {}, base: object = target) =>
    refusalOf(() => readContext({ targets: [{ ...base, ...different }] }, deployment))

  test.each(HOSTS)('host %j', (host, said) => {
    expectRefusal(read({ host }), 'context slotkeeper.targets[0].host', said)
  })

  test.each([...SECRETS, ...SHAPES])('secretArn and adminSecretArn %j', (secret, said) => {
    for (const key of ['secretArn', 'adminSecretArn']) {
      const path = `context slotkeeper.targets[0].${key}`
      expectRefusal(read({ [key]: secret }, DEPLOYED), path, said)
    }
  })

  test.each(DATABASES)('database %j', (database, said) => {
    expectRefusal(read({ database }), 'context slotkeeper.targets[0].database', said)
  })

  test.each(USERS)('iamUser %j', (iamUser, said) => {
    expectRefusal(read({ iamUser }, {}, iam), 'context slotkeeper.targets[0].iamUser', said)
  })

  test.each(RESOURCES)('resourceId %j', (resourceId, said) => {
    expectRefusal(read({ resourceId }, {}, iam), 'context slotkeeper.targets[0].resourceId', said)
  })

  test.each<[string, unknown, string | undefined]>([
    ['port', 5433, undefined],
    ['port', '5432', 'expected a whole number from 1 to 65535'],
    ['port', 0, 'expected a whole number from 1 to 65535'],
    ['port', 65536, 'expected a whole number from 1 to 65535'],
    ['secretKeyArn', keyArn(), undefined],
    ['secretKeyArn', keyArn('eu-central-1', 'alias/shop'), 'this is an alias'],
    ['secretKeyArn', SECRET, "expected a key's ARN"],
    ['secretKeyArn', keyArn('us-east-1'), "expected a key of the secret's region"],
    ['adminSecretKeyArn', keyArn(), 'expected adminSecretArn beside it'],
    ['everySeconds', 15, undefined],
    ['everySeconds', 45, 'expected 10, 15, 20, 30, 60'],
    ['everySeconds', '15', 'expected 10, 15, 20, 30, 60'],
    ['reserveConcurrency', 'false', 'expected true or false'],
    ['metrics', 'prometheus', 'expected "cloudwatch", "emf"'],
    ['metricSet', 'essentials', 'did you mean "essential"?'],
    ['hots', HOST, 'did you mean "host"?'],
    ['network', network, undefined],
    ['policy', { rules: [STALE], keep: 2 }, undefined],
  ])('%s %j', (key, value, said) => {
    expectRefusal(read({ [key]: value }), `context slotkeeper.targets[0].${key}`, said)
  })

  test.each<[string, object, string]>([
    ['network.vpcId', { vpcId: 'vpc-123' }, 'expected "vpc-" and 8 or 17 hexadecimal digits'],
    ['network.securityGroupId', { securityGroupId: 'vpc-0a1b2c3d' }, 'expected "sg-"'],
    [
      'network.subnets[0].id',
      { subnets: [{ ...network.subnets[0], id: 'subnet-a' }] },
      'expected "subnet-"',
    ],
    ['network.subnets', { subnets: [] }, 'expected subnets, not an empty list'],
  ])('%s', (path, different, said) => {
    const found = read({ network: { ...network, ...different } })
    expectRefusal(found, `context slotkeeper.targets[0].${path}`, said)
  })

  test('a policy, with the path of what is wrong in it', () => {
    const found = read({ policy: { rules: [{ ...STALE, olderThan: 30 }] } })
    expectRefusal(found, 'context slotkeeper.targets[0].policy.rules[0].olderThan', '"30s"')
  })

  test('a secret in another account, with its key', () => {
    const secretArn = arn('shop-AbCdEf', 'eu-central-1', '999999999999')
    expect(read({ secretArn, secretKeyArn: keyArn() }, DEPLOYED)).toBeUndefined()
  })

  test.each<[string, object]>([
    ['targets[0].host', { host: 'shop.<id>.eu-central-1.rds.amazonaws.com' }],
    ['targets[0].host', { host: 'shop.xxxxxxxxxxxx.eu-central-1.rds.amazonaws.com' }],
    ['targets[0].host', { host: 'db.example.com' }],
    ['targets[0].host', { host: 'your-db.c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com' }],
    ['targets[0].secretArn', { secretArn: arn('shop/slotkeeper-<6 characters>') }],
    ['targets[0].adminSecretArn', { adminSecretArn: arn('…') }],
    ['targets[0].network.vpcId', { network: { ...network, vpcId: 'vpc-…' } }],
    ['targets[0].network.vpcId', { network: { ...network, vpcId: 'vpc-00000000000000000' } }],
    ['targets[0].network.securityGroupId', { network: { ...network, securityGroupId: 'sg-xxxx' } }],
    [
      'targets[0].network.subnets[0].id',
      { network: { ...network, subnets: [{ ...network.subnets[0], id: 'subnet-…' }] } },
    ],
  ])('a placeholder, where it could be deployed: %s %j', (path, different) => {
    expect(read(different)).toBeUndefined()
    expectRefusal(read(different, DEPLOYED), `context slotkeeper.${path}`, 'is a placeholder')
  })

  test('an e-mail address of documents, where it could be deployed', () => {
    const context = { email: 'oncall@example.com', targets: [target] }
    expect(refusalOf(() => readContext(context))).toBeUndefined()
    const found = refusalOf(() => readContext(context, DEPLOYED))
    expectRefusal(found, 'context slotkeeper.email', 'is a placeholder')
  })

  test('all problems at once', () => {
    const wrong = { ...target, host: `${HOST}:5432`, mode: 'observ', metrics: 'prometheus' }
    const context = {
      emial: 'x',
      targets: [wrong, { ...iam, resourceId: undefined, policy: { rules: [STALE], keep: -1 } }],
    }
    const found = refusalOf(() => readContext(context)) ?? ''
    expect(found).toMatch(/^context slotkeeper has 7 problems:\n/)
    expect(found.match(/^ {2}slotkeeper\S*(?=: )/gm)?.sort()).toEqual([
      '  slotkeeper.emial',
      '  slotkeeper.targets[0].host',
      '  slotkeeper.targets[0].metrics',
      '  slotkeeper.targets[0].mode',
      '  slotkeeper.targets[1].name',
      '  slotkeeper.targets[1].policy.keep',
      '  slotkeeper.targets[1].resourceId',
    ])
  })
})

const newStack = (env: object = { account: ACCOUNT, region: 'eu-central-1' }) =>
  new Stack(new App(), 'Test', { env })

/** Properties as JavaScript has them: of any type, and made in the stack. */
type Different = (stack: Stack) => Record<string, unknown>

const construct = (different: Different, stack = newStack()) => {
  const props = {
    database: { host: HOST },
    auth: { secret: Secret.fromSecretCompleteArn(stack, 'Secret', SECRET) },
    mode: 'observe',
    ...different(stack),
  }
  return new SessionReaper(stack, 'Shop', props as unknown as SessionReaperProps)
}

const instanceOf = (stack: Stack, engine = POSTGRES) =>
  new DatabaseInstance(stack, 'Db', { engine, vpc: new Vpc(stack, 'Vpc') })
const POSTGRES = DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 })
const clusterOf = (stack: Stack) =>
  new DatabaseCluster(stack, 'Db', {
    engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_16_6 }),
    writer: ClusterInstance.serverlessV2('writer'),
    readers: [ClusterInstance.serverlessV2('reader')],
    vpc: new Vpc(stack, 'Vpc'),
  })

const WRITER = 'shop.cluster-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com'
const importedCluster = (stack: Stack, attributes: object) => ({
  database: DatabaseCluster.fromDatabaseClusterAttributes(stack, 'Imported', {
    clusterIdentifier: 'shop',
    ...attributes,
  }),
})
const importedInstance = (stack: Stack, attributes: object = {}) => ({
  database: DatabaseInstance.fromDatabaseInstanceAttributes(stack, 'Imported', {
    instanceIdentifier: 'shop',
    instanceEndpointAddress: HOST,
    port: 5432,
    securityGroups: [SecurityGroup.fromSecurityGroupId(stack, 'Group', 'sg-0a1b2c3d')],
    ...attributes,
  }),
})

describe('the construct', () => {
  test.each(HOSTS)('database.host %j', (host, said) => {
    const found = refusalOf(() => construct(() => ({ database: { host } })))
    expectRefusal(found, 'Test/Shop: database.host', said)
  })

  test.each(SECRETS)('auth.secret and createRole.adminSecret %j', (secretArn, said) => {
    const secret = (stack: Stack) =>
      /-\w{6}$/.test(secretArn)
        ? Secret.fromSecretCompleteArn(stack, 'Other', secretArn)
        : Secret.fromSecretPartialArn(stack, 'Other', secretArn)
    const login = refusalOf(() => construct((stack) => ({ auth: { secret: secret(stack) } })))
    expectRefusal(login, 'Test/Shop: auth.secret', said)
    const admin = refusalOf(() =>
      construct((stack) => ({ createRole: { adminSecret: secret(stack) } })),
    )
    expectRefusal(admin, 'Test/Shop: createRole.adminSecret', said)
  })

  test.each(DATABASES)('databaseName %j', (databaseName, said) => {
    const found = refusalOf(() => construct(() => ({ databaseName })))
    expectRefusal(found, 'Test/Shop: databaseName', said)
  })

  test.each(USERS)('auth.iamUser %j', (iamUser, said) => {
    const database = { host: HOST, resourceId: 'db-ABCDEF' }
    const found = refusalOf(() => construct(() => ({ auth: { iamUser }, database })))
    expectRefusal(found, 'Test/Shop: auth.iamUser', said)
  })

  test.each(RESOURCES)('database.resourceId %j', (resourceId, said) => {
    const found = refusalOf(() => construct(() => ({ database: { host: HOST, resourceId } })))
    expectRefusal(found, 'Test/Shop: database.resourceId', said)
  })

  test.each<[string, unknown, string | undefined]>([
    ['target', 'shop db (eu)', undefined],
    ['target', 'test', undefined],
    ['target', '', 'expected a name'],
    ['target', ' ', 'printable ASCII'],
    ['target', ':shop', 'printable ASCII'],
    ['target', 'größe', 'printable ASCII'],
    ['target', 'shop\tdb', 'printable ASCII'],
    ['target', 's'.repeat(200), undefined],
    ['target', 's'.repeat(201), '1 to 200'],
    ['target', 7, 'expected a name'],
    ['namespace', 'Mine/Databases', undefined],
    ['namespace', '', 'expected a namespace'],
    ['namespace', ':x', 'printable ASCII'],
    ['namespace', 'Datenbänke', 'printable ASCII'],
    ['namespace', 'n'.repeat(256), '1 to 255'],
    ['namespace', 'AWS/RDS', 'does not begin with "AWS/"'],
    ['mode', 'observ', 'did you mean "observe"?'],
    ['metrics', 'prometheus', 'expected "cloudwatch", "emf"'],
    ['metricSet', 'all', 'expected "full", "essential"'],
    ['every', Duration.seconds(15), undefined],
    ['every', Duration.seconds(45), 'one of 10, 15, 20, 30, 60'],
    ['every', Duration.millis(500), 'one of 10, 15, 20, 30, 60'],
    ['every', 60, 'expected a Duration'],
    ['every', '1m', 'expected a Duration'],
    ['reserveConcurrency', 'false', 'expected true or false'],
    ['reserveConcurrency', 1, 'expected true or false'],
    ['dashboard', 'no', 'expected true or false'],
    ['memorySize', 256, undefined],
    ['memorySize', 64, 'from 128 to 10240'],
    ['memorySize', '256', 'from 128 to 10240'],
    ['architecture', 'arm64', 'expected a lambda.Architecture'],
    ['logRetention', 30, undefined],
    ['logRetention', 42, 'expected one of logs.RetentionDays'],
    ['logRetention', Duration.days(30), 'expected one of logs.RetentionDays'],
    ['role', `arn:aws:iam::${ACCOUNT}:role/x`, 'expected an iam.IRole'],
    ['logGroup', '/mine', 'expected a logs.ILogGroup'],
    ['database', 'shop', 'expected an rds instance or cluster'],
    ['database', undefined, 'expected an rds instance or cluster'],
    ['database', { dbProxyArn: 'x', endpoint: 'y' }, 'a pooler'],
    ['auth', SECRET, 'expected an object with secret, encryptionKey, iamUser'],
    ['auth', {}, 'found neither'],
    ['auth', { iamUser: undefined }, 'found neither'],
    ['auth', { secret: undefined, iamUser: undefined }, 'found neither'],
    ['alarms', false, undefined],
    ['alarms', true, 'expected an object with topic'],
    ['alarms', null, 'expected an object with topic'],
    ['createRole', true, 'expected an object with adminSecret'],
    ['vpcSubnets', {}, 'expected vpc beside it'],
    ['createEndpoints', true, 'expected vpc beside it'],
    ['endpoint', { hostname: HOST, port: 5432 }, 'expected none beside database.host'],
    ['policy', { rules: [STALE] }, undefined],
  ])('%s %j', (name, value, said) => {
    const found = refusalOf(() => construct(() => ({ [name]: value })))
    expectRefusal(found, `Test/Shop: ${name}`, said)
  })

  test.each<[string, Different, string]>([
    ['auth.secret', () => ({ auth: { secret: SECRET } }), 'not its ARN or name'],
    ['auth.secert', () => ({ auth: { secert: 1, iamUser: 'x' } }), 'did you mean "secret"?'],
    ['database.hots', () => ({ database: { host: HOST, hots: 1 } }), 'did you mean "host"?'],
    ['database.port', () => ({ database: { host: HOST, port: '5432' } }), 'from 1 to 65535'],
    ['database.host', () => ({ database: { host: undefined } }), "expected the server's endpoint"],
    ['metrcis', () => ({ metrcis: 'emf' }), 'did you mean "metrics"?'],
    ['reservedConcurrency', () => ({ reservedConcurrency: 1 }), 'mean "reserveConcurrency"?'],
    ['alarms.Silnet', () => ({ alarms: { Silnet: false } }), 'did you mean "Silent"?'],
    ['alarms.Silent.minutes', () => ({ alarms: { Silent: { minutes: 0 } } }), 'from 1 to 1437'],
    ['alarms.Leak.threshold', () => ({ alarms: { Leak: { threshold: '9' } } }), 'a number'],
    ['alarms.topics', () => ({ alarms: { topics: 'x' } }), 'expected a list of sns.ITopic'],
    ['alarms.topic', () => ({ alarms: { topic: 'arn:aws:sns:…' } }), 'expected an sns.ITopic'],
    ['createRole.adminSecret', () => ({ createRole: {} }), "the administrator's secret"],
    [
      'policy.keep',
      () => ({ policy: { rules: [STALE], keep: -1 } }),
      'expected a whole number from 0',
    ],
    ['vpc', (stack) => ({ database: instanceOf(stack) }), 'the VPC of the rds instance'],
    ['vpc', (stack) => ({ database: clusterOf(stack) }), 'the VPC of the rds instance'],
    [
      'database',
      (stack) => {
        const engine = DatabaseInstanceEngine.mysql({ version: MysqlEngineVersion.VER_8_0 })
        const database = instanceOf(stack, engine)
        return { database, vpc: database.vpc }
      },
      'expected a PostgreSQL engine',
    ],
    [
      'database',
      (stack) => ({
        vpc: new Vpc(stack, 'Vpc'),
        database: DatabaseInstance.fromDatabaseInstanceAttributes(stack, 'Db', {
          instanceIdentifier: 'shop',
          instanceEndpointAddress: 'shop.proxy-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com',
          port: 5432,
          securityGroups: [],
        }),
      }),
      'a pooler',
    ],
    [
      'endpoint',
      (stack) => {
        const database = clusterOf(stack)
        return { database, vpc: database.vpc, endpoint: database.clusterReadEndpoint }
      },
      'the reader endpoint',
    ],
    [
      'endpoint',
      (stack) => {
        const database = instanceOf(stack)
        return { database, vpc: database.vpc, endpoint: database.instanceEndpoint }
      },
      'an instance, which has one endpoint',
    ],
    [
      'endpoint',
      (stack) => ({
        vpc: new Vpc(stack, 'Vpc'),
        database: DatabaseCluster.fromDatabaseClusterAttributes(stack, 'Db', {
          clusterIdentifier: 'shop',
        }),
        endpoint: new Endpoint('shop.cluster-ro-c1a2b3.eu-central-1.rds.amazonaws.com', 5432),
      }),
      'the reader endpoint',
    ],
    ['policy', () => ({ policy: { keep: 1n } }), 'expected what JSON can hold'],
    [
      'database',
      (stack) => ({ ...importedCluster(stack, {}), vpc: new Vpc(stack, 'Vpc') }),
      'a cluster that was imported with its endpoint and port',
    ],
    [
      'database',
      (stack) => ({
        ...importedCluster(stack, {
          clusterEndpointAddress: 'shop.cluster-ro-c1a2b3.eu-central-1.rds.amazonaws.com',
          port: 5432,
        }),
        vpc: new Vpc(stack, 'Vpc'),
      }),
      'the reader endpoint',
    ],
    [
      'database',
      (stack) => ({
        ...importedCluster(stack, { clusterEndpointAddress: WRITER, port: 5432 }),
        vpc: new Vpc(stack, 'Vpc'),
        auth: { iamUser: 'x' },
      }),
      'imported with its clusterResourceIdentifier',
    ],
    [
      'database',
      (stack) => ({
        ...importedInstance(stack),
        vpc: new Vpc(stack, 'Vpc'),
        auth: { iamUser: 'x' },
      }),
      'imported with its instanceResourceId',
    ],
    [
      'createRole',
      (stack) => {
        const source = instanceOf(stack)
        const database = new DatabaseInstanceReadReplica(stack, 'Replica', {
          sourceDatabaseInstance: source,
          instanceType: new InstanceType('t4g.micro'),
          vpc: source.vpc,
        })
        const adminSecret = Secret.fromSecretNameV2(stack, 'Admin', 'shop/administrator')
        return { database, vpc: source.vpc, createRole: { adminSecret } }
      },
      'a read replica, which takes no CREATE ROLE',
    ],
    [
      'auth.secret',
      (stack) => ({ auth: { secret: Secret.fromSecretNameV2(stack, 'Named', 'shop-reaper') } }),
      'expected Secret.fromSecretCompleteArn',
    ],
    [
      'auth.secret',
      (stack) => ({
        auth: { secret: Secret.fromSecretCompleteArn(stack, 'No', arn('shop-reaper')) },
      }),
      '"-reaper" can be the end of the name',
    ],
    [
      'auth.encryptionKey',
      () => ({
        auth: { iamUser: 'x', encryptionKey: { keyArn: keyArn() } },
        database: { host: HOST, resourceId: 'db-ABC' },
      }),
      'expected secret beside it',
    ],
    ['database.host', () => ({ database: { host: 'db.example.com' } }), 'is a placeholder'],
  ])('%s', (path, different, said) => {
    expectRefusal(
      refusalOf(() => construct(different)),
      `Test/Shop: ${path}`,
      said,
    )
  })

  test('both ways to log in', () => {
    const found = refusalOf(() =>
      construct((stack) => ({
        auth: { secret: Secret.fromSecretNameV2(stack, 'Named', 'shop'), iamUser: 'x' },
      })),
    )
    expect(found).toContain('Test/Shop: auth: expected { secret } or { iamUser }, found both')
  })

  test.each<[string, Different]>([
    ['an absent way beside the one', () => ({ auth: { secret: undefined, iamUser: 'x' } })],
    [
      'what only the deployment knows',
      (stack) => {
        const value = (id: string) => new CfnParameter(stack, id).valueAsString
        return {
          target: value('Target'),
          namespace: Fn.importValue('Namespace'),
          databaseName: value('Name'),
          auth: { iamUser: value('User') },
          database: {
            host: value('Host'),
            port: new CfnParameter(stack, 'Port', { type: 'Number' }).valueAsNumber,
            resourceId: Fn.importValue('Id'),
          },
        }
      },
    ],
    [
      'a secret of which only the deployment knows the ARN',
      (stack) => ({
        auth: {
          secret: Secret.fromSecretCompleteArn(stack, 'Late', Fn.importValue('SecretArn')),
        },
      }),
    ],
    [
      'an imported instance',
      (stack) => ({ ...importedInstance(stack), vpc: new Vpc(stack, 'Vpc') }),
    ],
    [
      'an imported instance, by IAM',
      (stack) => ({
        ...importedInstance(stack, { instanceResourceId: 'db-ABC' }),
        vpc: new Vpc(stack, 'Vpc'),
        auth: { iamUser: 'x' },
      }),
    ],
    [
      'an imported cluster, by IAM',
      (stack) => ({
        ...importedCluster(stack, {
          clusterEndpointAddress: WRITER,
          port: 5432,
          clusterResourceIdentifier: 'cluster-ABC',
        }),
        vpc: new Vpc(stack, 'Vpc'),
        auth: { iamUser: 'x' },
      }),
    ],
    ['a secret of this app', (stack) => ({ auth: { secret: new Secret(stack, 'Own') } })],
  ])('takes %s', (_, different) => {
    const base = { database: { host: HOST, resourceId: 'db-ABC' } }
    const found = refusalOf(() => {
      const { node } = construct((stack) => ({ ...base, ...different(stack) }))
      ;(node.root as App).synth()
    })
    expect(found).toBeUndefined()
  })

  test('a stack without a known place has no place to compare, and placeholders may stand', () => {
    const stack = new Stack(new App(), 'Test')
    const found = refusalOf(() =>
      construct(
        () => ({
          database: { host: 'shop.xxxxxxxxxxxx.eu-central-1.rds.amazonaws.com' },
          auth: {
            secret: Secret.fromSecretCompleteArn(stack, 'Far', arn('a-AbCdEf', 'us-east-1')),
          },
        }),
        stack,
      ),
    )
    expect(found).toBeUndefined()
    expect(stack.region).toBe(Aws.REGION)
  })

  test('all problems at once', () => {
    const found =
      refusalOf(() =>
        construct((stack) => ({
          database: instanceOf(stack),
          auth: {},
          mode: 'observ',
          metrics: 'prometheus',
          policy: { rules: [STALE], keep: -1 },
          endpiont: 1,
        })),
      ) ?? ''
    expect(found).toMatch(/^Test\/Shop has 6 problems:\n/)
    expect(found.match(/(?<=^ {2}Test\/Shop: )\S+(?=: )/gm)?.sort()).toEqual([
      'auth',
      'endpiont',
      'metrics',
      'mode',
      'policy.keep',
      'vpc',
    ])
  })
})

describe('a password is shown in no refusal', () => {
  const PASSWORD = 'hunter2'
  const url = `postgres://slotkeeper:${PASSWORD}@${HOST}:5432/shop`

  test.each<[string, Record<string, unknown>]>([
    ['a URL as host', { database: { host: url } }],
    [
      'a URL with a placeholder as host',
      { database: { host: url.replace('c1a2b3c4d5e6', '<id>') } },
    ],
    ['a URL as database', { database: url }],
    ['a list with a URL as database', { database: [url] }],
    ['a URL as auth', { auth: url }],
    ['a password as secret', { auth: { secret: PASSWORD } }],
    ['a password of its own', { auth: { iamUser: 'x', password: PASSWORD } }],
    ['a list as auth', { auth: [PASSWORD] }],
    ['a password as key', { auth: { secret: { secretArn: SECRET }, encryptionKey: PASSWORD } }],
    ['a password beside', { password: PASSWORD }],
    ['a password of the administrator', { createRole: { adminSecret: PASSWORD } }],
    ['a password as createRole', { createRole: PASSWORD }],
  ])('of the construct: %s', (_, different) => {
    const found = refusalOf(() => construct(() => different))
    expect(found).toContain('Test/Shop')
    expect(found).not.toContain(PASSWORD)
  })

  test.each<[string, object]>([
    ['a URL as host', { host: url }],
    ['a URL with a placeholder as host', { host: url.replace('c1a2b3c4d5e6', '<id>') }],
    ['a password as secret', { secretArn: PASSWORD }],
    ['the secret itself', { secretArn: JSON.stringify({ password: PASSWORD }) }],
    ['a password as key', { secretKeyArn: PASSWORD }],
    ['a password of the administrator', { adminSecretArn: PASSWORD }],
    ['a password of its own', { password: PASSWORD }],
  ])('of cdk.json: %s', (_, different) => {
    const deployed = { account: ACCOUNT, region: 'eu-central-1' }
    const found = refusalOf(() => readContext({ targets: [{ ...target, ...different }] }, deployed))
    expect(found).toContain('slotkeeper.targets[0]')
    expect(found).not.toContain(PASSWORD)
  })
})

test('a name that another reaper has in the same metrics', () => {
  const app = new App()
  const env = { account: ACCOUNT, region: 'eu-central-1' }
  construct(() => ({}), new Stack(app, 'One', { env }))
  const again = (id: string, different: Record<string, unknown>) =>
    refusalOf(() => construct(() => different, new Stack(app, id, { env })))
  expectRefusal(again('Two', {}), 'Two/Shop: target', 'which One/Shop has')
  expect(again('Three', { target: 'other' })).toBeUndefined()
  expect(again('Four', { namespace: 'Other' })).toBeUndefined()
})

describe('a server that two reapers sweep', () => {
  const warnings = (stack: Stack) =>
    Annotations.fromStack(stack)
      .findWarning('*', Match.anyValue())
      .map(({ entry }) => String(entry.data))
      .filter((text) => text.includes('slotkeeper:sweptTwice'))
  const reap = (stack: Stack, id: string, props: Partial<SessionReaperProps>) =>
    new SessionReaper(stack, id, {
      database: { host: HOST },
      auth: { secret: Secret.fromSecretCompleteArn(stack, `${id}Secret`, SECRET) },
      mode: 'observe',
      ...props,
    })

  test('has a warning, however its name is written', () => {
    const stack = newStack()
    reap(stack, 'One', {})
    reap(stack, 'Two', { database: { host: HOST.toUpperCase(), port: 5432 } })
    expect(warnings(stack)).toEqual([expect.stringContaining('Test/One sweeps the same server')])
  })

  test('has none where port, host or app are others', () => {
    const stack = newStack()
    reap(stack, 'One', {})
    reap(stack, 'Two', { database: { host: HOST, port: 5433 } })
    reap(stack, 'Three', { database: { host: `x${HOST}` } })
    reap(newStack(), 'One', {})
    expect(warnings(stack)).toEqual([])
  })

  test('each instance of a cluster once', () => {
    const stack = newStack()
    const database = clusterOf(stack)
    for (const [index, endpoint] of database.instanceEndpoints.entries()) {
      reap(stack, `Instance${index}`, { database, vpc: database.vpc, endpoint })
    }
    expect(warnings(stack)).toEqual([])
  })

  test('or its writer beside one of them', () => {
    const stack = newStack()
    const database = clusterOf(stack)
    const [endpoint] = database.instanceEndpoints
    reap(stack, 'Writer', { database, vpc: database.vpc })
    reap(stack, 'Instance', { database, vpc: database.vpc, endpoint })
    expect(warnings(stack)).toEqual([
      expect.stringContaining('Test/Writer sweeps the same cluster'),
    ])
  })
})
