import { readFileSync } from 'node:fs'
import { App, Stack, Tags } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import { SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2'
import { ManagedPolicy, PermissionsBoundary, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Architecture } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { describe, expect, test } from 'vitest'
import { connectionParameters, SessionReaper, type SessionReaperProps } from '../../infra/index.ts'
import { auroraCluster } from '../support/reaper.ts'

const HOST = 'shop.c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com'

const newStack = () =>
  new Stack(new App(), 'Test', { env: { account: '210987654321', region: 'eu-central-1' } })

const reap = (stack: Stack, props: Partial<SessionReaperProps> = {}) =>
  new SessionReaper(stack, 'Shop', {
    database: { host: HOST },
    auth: { secret: Secret.fromSecretNameV2(stack, 'Secret', 'shop/slotkeeper') },
    mode: 'observe',
    ...props,
  })

/** The properties of the resources of a type, by their logical ids without the hash. */
function resources(stack: Stack, type: string): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(Template.fromStack(stack).findResources(type)).map(([id, { Properties }]) => [
      id.replace(/[0-9A-F]{8}$/, ''),
      Properties,
    ]),
  )
}

describe('the function', () => {
  test('takes the given memory, architecture, role and log group', () => {
    const stack = newStack()
    const role = new Role(stack, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
    })
    const logGroup = new LogGroup(stack, 'Mine', { retention: RetentionDays.ONE_DAY })
    const reaper = reap(stack, {
      memorySize: 512,
      architecture: Architecture.X86_64,
      role,
      logGroup,
    })
    expect(reaper.role).toBe(role)
    expect(reaper.logGroup).toBe(logGroup)
    const { ShopSweepFunction: sweep } = resources(stack, 'AWS::Lambda::Function')
    expect(sweep).toMatchObject({
      MemorySize: 512,
      Architectures: ['x86_64'],
      Role: { 'Fn::GetAtt': [expect.stringMatching(/^Role/), 'Arn'] },
      LoggingConfig: { LogGroup: { Ref: expect.stringMatching(/^Mine/) } },
    })
    expect(Object.keys(resources(stack, 'AWS::IAM::Role'))).toEqual(['Role'])
    expect(Object.keys(resources(stack, 'AWS::Logs::LogGroup'))).toEqual(['Mine'])
    const policy = JSON.stringify(resources(stack, 'AWS::IAM::Policy'))
    for (const action of ['logs:PutLogEvents', 'PutMetricData', 'GetSecretValue']) {
      expect(policy).toContain(action)
    }
  })

  test('may have an encrypted log group, whose key CloudWatch Logs may use for log groups only', () => {
    const stack = newStack()
    const logEncryptionKey = new Key(stack, 'Key')
    reap(stack, { logEncryptionKey, logRetention: RetentionDays.ONE_WEEK })
    expect(resources(stack, 'AWS::Logs::LogGroup').ShopSweepLog).toMatchObject({
      KmsKeyId: { 'Fn::GetAtt': [expect.stringMatching(/^Key/), 'Arn'] },
      RetentionInDays: 7,
    })
    Template.fromStack(stack).hasResourceProperties('AWS::KMS::Key', {
      KeyPolicy: Match.objectLike({
        Statement: Match.arrayWith([
          Match.objectLike({
            Principal: { Service: 'logs.eu-central-1.amazonaws.com' },
            Condition: {
              ArnLike: {
                'kms:EncryptionContext:aws:logs:arn': Match.objectLike({
                  'Fn::Join': ['', Match.arrayWith([Match.stringLikeRegexp('log-group:\\*$')])],
                }),
              },
            },
          }),
        ]),
      }),
    })
    expect(resources(stack, 'AWS::KMS::Key')).toHaveProperty('Key')
  })
})

test('aspects apply a permissions boundary and tags to all resources of the construct', () => {
  const stack = newStack()
  const adminSecret = Secret.fromSecretNameV2(stack, 'Admin', 'shop/administrator')
  const reaper = reap(stack, { createRole: { adminSecret } })
  const boundary = ManagedPolicy.fromManagedPolicyName(stack, 'Boundary', 'boundary')
  PermissionsBoundary.of(reaper).apply(boundary)
  Tags.of(reaper).add('team', 'databases')
  const roles = Object.values(resources(stack, 'AWS::IAM::Role'))
  expect(roles.length).toBeGreaterThan(2)
  for (const role of roles) expect(role.PermissionsBoundary).toBeDefined()
  const tagged = ['AWS::Lambda::Function', 'AWS::Logs::LogGroup', 'AWS::CloudWatch::Alarm']
  for (const resource of tagged.flatMap((type) => Object.values(resources(stack, type)))) {
    expect(resource.Tags).toContainEqual({ Key: 'team', Value: 'databases' })
  }
})

describe('the alarms, one by one', () => {
  const actionsOf = (alarm: Record<string, unknown> | undefined, key: string) =>
    ((alarm?.[key] ?? []) as { Ref: string }[]).map(({ Ref }) => Ref.replace(/[0-9A-F]{8}$/, ''))

  test('take a threshold, minutes, topics and actions, or are left out', () => {
    const stack = newStack()
    const [team, second, pager, runbook] = ['Team', 'Second', 'Pager', 'Runbook'].map(
      (id) => new Topic(stack, id),
    ) as [Topic, Topic, Topic, Topic]
    const reaper = reap(stack, {
      alarms: {
        topic: team,
        topics: [second],
        SlotsUsed: { threshold: 90, minutes: 5 },
        Silent: { topics: [pager], actions: [new SnsAction(runbook)] },
        Leak: false,
      },
    })
    const alarms = resources(stack, 'AWS::CloudWatch::Alarm')
    expect(alarms).not.toHaveProperty('ShopAlarmsLeak')
    expect(reaper.alarms).not.toHaveProperty('Leak')
    expect(alarms.ShopAlarmsSlotsUsed).toMatchObject({
      Threshold: 90,
      EvaluationPeriods: 5,
      DatapointsToAlarm: 5,
      AlarmDescription: expect.stringMatching(/90.*5/),
    })
    expect(actionsOf(alarms.ShopAlarmsSlotsUsed, 'AlarmActions')).toEqual(['Team', 'Second'])
    expect(actionsOf(alarms.ShopAlarmsSilent, 'AlarmActions')).toEqual([
      'Team',
      'Second',
      'Pager',
      'Runbook',
    ])
    expect(actionsOf(alarms.ShopAlarmsSilent, 'OKActions')).toEqual(['Team', 'Second', 'Pager'])
  })

  test('are available as objects', () => {
    const stack = newStack()
    const reaper = reap(stack)
    reaper.alarms.Silent?.addAlarmAction(new SnsAction(new Topic(stack, 'Pager')))
    const alarms = resources(stack, 'AWS::CloudWatch::Alarm')
    expect(actionsOf(alarms.ShopAlarmsSilent, 'AlarmActions')).toEqual(['Pager'])
    expect(Object.keys(alarms)).toHaveLength(Object.keys(reaper.alarms).length)
  })
})

describe('the server', () => {
  test('in another region: the permission names the region of the token', () => {
    const stack = newStack()
    const host = HOST.replace('eu-central-1', 'us-east-1')
    reap(stack, { database: { host, resourceId: 'db-ABC' }, auth: { iamUser: 'slotkeeper' } })
    expect(JSON.stringify(resources(stack, 'AWS::IAM::Policy'))).toContain(
      ':rds-db:us-east-1:210987654321:dbuser:db-ABC/slotkeeper',
    )
  })

  test('of a cluster: the role is made at the writer, whichever instance is swept', () => {
    const stack = newStack()
    const vpc = new Vpc(stack, 'Vpc')
    const database = auroraCluster(stack, vpc, 'reader')
    const adminSecret = Secret.fromSecretNameV2(stack, 'Admin', 'shop/administrator')
    const endpoint = database.instanceEndpoints[1]
    reap(stack, { database, vpc, endpoint, createRole: { adminSecret } })
    const [role] = Object.values(resources(stack, 'Custom::SlotkeeperRole'))
    const [cluster] = Object.keys(Template.fromStack(stack).findResources('AWS::RDS::DBCluster'))
    expect(role?.host).toEqual({ 'Fn::GetAtt': [cluster, 'Endpoint.Address'] })
  })

  test.each([true, false])(
    'is open to the function with allowAllOutbound %s',
    (allowAllOutbound) => {
      const stack = newStack()
      const vpc = new Vpc(stack, 'Vpc')
      const database = auroraCluster(stack, vpc)
      const own = new SecurityGroup(stack, 'Own', { vpc, allowAllOutbound })
      reap(stack, { database, vpc, securityGroups: [own] })
      const template = Template.fromStack(stack)
      const [group] = Object.keys(template.findResources('AWS::EC2::SecurityGroup')).filter((id) =>
        id.startsWith('Own'),
      )
      template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
        SourceSecurityGroupId: { 'Fn::GetAtt': [group, 'GroupId'] },
      })
      template.resourceCountIs('AWS::EC2::SecurityGroupEgress', allowAllOutbound ? 0 : 1)
      expect(group).toBeDefined()
    },
  )
})

describe('docs/operations.md names every property', () => {
  const document = readFileSync('docs/operations.md', 'utf8')

  /** What a refusal of an unknown key lists. */
  const keysOf = (run: () => unknown) => {
    try {
      run()
    } catch (error) {
      return /unknown key; expected an object with (.+), found/
        .exec(String(error))?.[1]
        ?.split(', ')
    }
    return undefined
  }

  test.each<[string, () => unknown]>([
    ['SessionReaper', () => reap(newStack(), { '?': 1 } as object)],
    ['auth', () => reap(newStack(), { auth: { '?': 1 } as never })],
    ['database', () => reap(newStack(), { database: { host: HOST, '?': 1 } as never })],
    ['alarms', () => reap(newStack(), { alarms: { '?': 1 } as never })],
    ['one alarm', () => reap(newStack(), { alarms: { Silent: { '?': 1 } as never } })],
    ['createRole', () => reap(newStack(), { createRole: { '?': 1 } as never })],
    ['bounds', () => reap(newStack(), { bounds: [{ user: 'a', '?': 1 } as never] })],
    ['connectionParameters', () => connectionParameters({ '?': 1 } as object)],
  ])('of %s', (_, run) => {
    const keys = keysOf(run) ?? []
    expect(keys.length).toBeGreaterThan(1)
    for (const key of keys) expect(document).toMatch(new RegExp(`[\`{ ]${key}[\`,} ]`))
  })
})
