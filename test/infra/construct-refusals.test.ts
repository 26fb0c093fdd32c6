import { App, Aws, CfnParameter, Fn, Stack } from 'aws-cdk-lib'
import { InstanceType, Vpc } from 'aws-cdk-lib/aws-ec2'
import {
  DatabaseCluster,
  DatabaseInstance,
  DatabaseInstanceEngine,
  DatabaseInstanceReadReplica,
  Endpoint,
  MysqlEngineVersion,
} from 'aws-cdk-lib/aws-rds'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { describe, expect, test } from 'vitest'
import {
  arn,
  clusterOf,
  construct,
  type Different,
  expectRefusal,
  HOST,
  importedCluster,
  importedInstance,
  instanceOf,
  keyArn,
  refusalOf,
  SECRET,
  STALE,
  WRITER,
} from '../support/refusals.ts'

describe('the construct', () => {
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

  test('refuses both ways to log in at once', () => {
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

  test('an environment-agnostic stack accepts placeholders and any region', () => {
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

  test('reports all problems at once', () => {
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
