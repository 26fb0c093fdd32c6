import { Duration } from 'aws-cdk-lib'
import { Match } from 'aws-cdk-lib/assertions'
import { SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2'
import { Key } from 'aws-cdk-lib/aws-kms'
import {
  DatabaseInstance,
  DatabaseInstanceEngine,
  PostgresEngineVersion,
} from 'aws-cdk-lib/aws-rds'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { describe, expect, test } from 'vitest'
import { has, newStack, reaper, SECRET_ARN, secretOf, statements } from '../support/reaper.ts'

test('the function has the expected runtime, memory, timeout and concurrency', () => {
  has(reaper().template, 'AWS::Lambda::Function', {
    Runtime: 'nodejs24.x',
    Architectures: ['arm64'],
    Handler: 'index.handler',
    MemorySize: 256,
    Timeout: 45,
    ReservedConcurrentExecutions: 1,
    LoggingConfig: { LogFormat: 'JSON' },
  })
})

test('the concurrency can be left unreserved', () => {
  has(reaper({ reserveConcurrency: false }).template, 'AWS::Lambda::Function', {
    MemorySize: 256,
    ReservedConcurrentExecutions: Match.absent(),
  })
})

test('the function runs each minute and never queues a backlog', () => {
  const { template } = reaper()
  has(template, 'AWS::Events::Rule', {
    ScheduleExpression: 'rate(1 minute)',
    Targets: [
      Match.objectLike({ RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 } }),
    ],
  })
  has(template, 'AWS::Lambda::EventInvokeConfig', {
    MaximumRetryAttempts: 0,
    MaximumEventAgeInSeconds: 60,
  })
  has(template, 'AWS::Logs::LogGroup', { RetentionInDays: 30 })
})

test.each([
  [10, [10, 20, 30, 40, 50]],
  [15, [15, 30, 45]],
  [20, [20, 40]],
  [30, [30]],
  [60, []],
])('every %d s: there is one queue for each offset', (seconds, delays) => {
  const { template } = reaper({ every: Duration.seconds(seconds) })
  const queues = Object.values(template.findResources('AWS::SQS::Queue'))
  expect(queues.map(({ Properties }) => Properties.DelaySeconds)).toEqual(delays)
  for (const { Properties } of queues) {
    expect(Properties.VisibilityTimeout).toBeGreaterThanOrEqual(Properties.MessageRetentionPeriod)
  }
  expect(Object.keys(template.findResources('AWS::Lambda::EventSourceMapping'))).toHaveLength(
    delays.length,
  )
  const rules = Object.values(template.findResources('AWS::Events::Rule'))
  expect(rules.flatMap(({ Properties }) => Properties.Targets)).toHaveLength(1 + delays.length)
})

describe('the role has the permissions that the sweep needs and no others', () => {
  const logs = {
    Effect: 'Allow',
    Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
    Resource: { 'Fn::GetAtt': [expect.stringMatching(/^ShopSweepLog/), 'Arn'] },
  }
  const metrics = {
    Effect: 'Allow',
    Action: 'cloudwatch:PutMetricData',
    Resource: '*',
    Condition: { StringEquals: { 'cloudwatch:namespace': 'Slotkeeper' } },
  }
  const secret = {
    Effect: 'Allow',
    Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
    Resource: SECRET_ARN,
  }

  test('with a secret and PutMetricData', () => {
    const { template } = reaper()
    expect(statements(template)).toEqual([logs, metrics, secret])
    has(template, 'AWS::IAM::Role', { ManagedPolicyArns: Match.absent() })
  })

  test('with a secret under a customer managed key', () => {
    const stack = newStack()
    const encryptionKey = Key.fromKeyArn(
      stack,
      'Key',
      'arn:aws:kms:eu-central-1:111122223333:key/k',
    )
    const { template } = reaper(
      { auth: { secret: secretOf(stack), encryptionKey }, metrics: 'emf' },
      stack,
    )
    expect(statements(template)).toEqual([
      logs,
      secret,
      {
        Effect: 'Allow',
        Action: 'kms:Decrypt',
        Resource: 'arn:aws:kms:eu-central-1:111122223333:key/k',
      },
    ])
  })

  test('with IAM and log lines, needs no AWS API', () => {
    const database = { host: 'h', resourceId: 'db-ABC' }
    const { template } = reaper({ auth: { iamUser: 'slotkeeper' }, database, metrics: 'emf' })
    expect(statements(template)).toEqual([
      logs,
      {
        Effect: 'Allow',
        Action: 'rds-db:connect',
        Resource: {
          'Fn::Join': [
            '',
            [
              'arn:',
              { Ref: 'AWS::Partition' },
              ':rds-db:eu-central-1:111122223333:dbuser:db-ABC/slotkeeper',
            ],
          ],
        },
      },
    ])
  })

  test('IAM requires database.resourceId', () => {
    expect(() => reaper({ auth: { iamUser: 'x' } })).toThrow(
      'Test/Shop: database.resourceId: missing',
    )
  })
})

test('the schedule starts after the role and the network paths exist', () => {
  const stack = newStack()
  const vpc = new Vpc(stack, 'Vpc', { natGateways: 0 })
  const database = new DatabaseInstance(stack, 'Db', {
    engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 }),
    vpc,
    vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
  })
  const createRole = { adminSecret: Secret.fromSecretNameV2(stack, 'Admin', 'master') }
  const { template } = reaper(
    { database, vpc, createEndpoints: true, createRole, every: Duration.seconds(10) },
    stack,
  )
  const rules = Object.values(template.findResources('AWS::Events::Rule'))
  expect(rules).toHaveLength(2)
  const awaited = [
    'Custom::SlotkeeperRole',
    'AWS::EC2::VPCEndpoint',
    'AWS::EC2::SecurityGroupIngress',
    'AWS::RDS::DBInstance',
  ].flatMap((type) => Object.keys(template.findResources(type)))
  for (const { DependsOn } of rules) expect(DependsOn).toEqual(expect.arrayContaining(awaited))
})

test('a target has 14 resources', () => {
  expect(Object.keys(reaper().template.toJSON().Resources)).toHaveLength(14)
})

test('the function that makes the database role may read two secrets', () => {
  const stack = newStack()
  const adminSecret = Secret.fromSecretAttributes(stack, 'Admin', {
    secretCompleteArn: SECRET_ARN.replace('reaper', 'admin'),
  })
  const { template } = reaper({ createRole: { adminSecret } }, stack)
  has(template, 'Custom::SlotkeeperRole', {
    adminSecret: SECRET_ARN.replace('reaper', 'admin'),
    secret: SECRET_ARN,
    host: 'shop.abc.eu-central-1.rds.amazonaws.com',
    port: '5432',
  })
  const policies = template.findResources('AWS::IAM::Policy')
  const [, provision] = Object.entries(policies).find(([id]) => id.includes('Provision')) ?? []
  expect(
    provision?.Properties.PolicyDocument.Statement.map(
      ({ Action, Resource }: { Action: unknown; Resource: unknown }) => [Action, Resource],
    ),
  ).toEqual([
    [['logs:CreateLogStream', 'logs:PutLogEvents'], expect.anything()],
    [
      ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
      SECRET_ARN.replace('reaper', 'admin'),
    ],
    [['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'], SECRET_ARN],
  ])
})

test('the function that makes the database role gets the bounds as they were written', () => {
  const stack = newStack()
  const bounds = [{ user: 'shop_app', idleSessionTimeout: '1h', connectionLimit: 60 }] as const
  const { template } = reaper(
    { createRole: { adminSecret: Secret.fromSecretNameV2(stack, 'Admin', 'master') }, bounds },
    stack,
  )
  has(template, 'Custom::SlotkeeperRole', { bounds: JSON.stringify(bounds) })
})

test('the database role is made after the network paths to the database and its secrets exist', () => {
  const stack = newStack()
  const vpc = new Vpc(stack, 'Vpc', { natGateways: 0 })
  const database = new DatabaseInstance(stack, 'Db', {
    engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 }),
    vpc,
    vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
    securityGroups: [new SecurityGroup(stack, 'DbGroup', { vpc })],
  })
  const { template } = reaper(
    {
      database,
      vpc,
      auth: { iamUser: 'slotkeeper' },
      metrics: 'emf',
      createEndpoints: true,
      createRole: { adminSecret: secretOf(stack) },
    },
    stack,
  )
  has(template, 'AWS::EC2::VPCEndpoint', {
    ServiceName: 'com.amazonaws.eu-central-1.secretsmanager',
  })
  const [role] = Object.values(template.findResources('Custom::SlotkeeperRole'))
  const ways = ['AWS::EC2::VPCEndpoint', 'AWS::EC2::SecurityGroupIngress'].flatMap((type) =>
    Object.keys(template.findResources(type)),
  )
  expect(ways).toHaveLength(3)
  expect(role?.DependsOn).toEqual(expect.arrayContaining(ways))
})
