import { readFileSync } from 'node:fs'
import { App, Validations } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { AwsSolutionsChecks } from 'cdk-nag'
import { describe, expect, test } from 'vitest'
import { readContext } from '../../infra/context.ts'
import { addStacks } from '../../infra/stacks.ts'
import { environmentOf } from '../support/reaper.ts'

const one = {
  name: 'shop',
  host: 'shop.abc.rds.amazonaws.com',
  secretArn: 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop-AbCdEf',
  mode: 'observe',
}

const contextOf = (...targets: object[]) => ({ targets })
const example = JSON.parse(readFileSync('cdk.json', 'utf8')).context.slotkeeper

describe('an invalid context is refused with one line for each problem', () => {
  test.each<[string, unknown, string]>([
    ['none', undefined, 'context slotkeeper: missing; expected { "targets": [ … ] }'],
    ['no target', contextOf(), 'slotkeeper.targets: expected one or more targets'],
    [
      'an unknown key',
      { ...contextOf(one), emial: 'x' },
      'slotkeeper.emial: unknown key (did you mean "email"?)',
    ],
    [
      'an unknown key of a target',
      contextOf({ ...one, hots: 'x' }),
      'slotkeeper.targets[0].hots: unknown key (did you mean "host"?)',
    ],
    [
      'two targets of one name',
      contextOf(one, one),
      'slotkeeper.targets[1].name: expected a unique name',
    ],
    [
      'a name that no stack can have',
      contextOf({ ...one, name: 'my shop' }),
      'slotkeeper.targets[0].name: expected letters',
    ],
    ['no mode', contextOf({ ...one, mode: undefined }), 'slotkeeper.targets[0].mode'],
    ['a wrong mode', contextOf({ ...one, mode: 'observ' }), 'did you mean "observe"?'],
    [
      'no policy in mode reap',
      contextOf(one, { ...one, name: 'two', mode: 'reap' }),
      'context slotkeeper.targets[1].policy: missing; in mode "reap" expected a policy with rules, or "incident"',
    ],
    [
      'neither secret nor IAM',
      contextOf({ ...one, secretArn: undefined }),
      'expected either secretArn or iamUser',
    ],
    ['both', contextOf({ ...one, iamUser: 'x' }), 'expected either secretArn or iamUser'],
    [
      'half a network',
      contextOf({
        ...one,
        network: { vpcId: 'vpc-0a1b2c3d', securityGroupId: 'sg-0a1b2c3d' },
      }),
      'slotkeeper.targets[0].network.subnets: missing',
    ],
    [
      'an unknown alarm',
      contextOf({ ...one, alarms: { Laek: false } }),
      'slotkeeper.targets[0].alarms.Laek: unknown key (did you mean "Leak"?)',
    ],
    [
      'an alarm that is only named',
      { ...contextOf(one), alarms: { Leak: true } },
      'slotkeeper.alarms.Leak: expected false, or an object with threshold, minutes, found true',
    ],
    [
      'an alarm of no minute',
      contextOf({ ...one, alarms: { Leak: { minutes: 0 } } }),
      'slotkeeper.targets[0].alarms.Leak.minutes: expected a whole number from 1, found 0',
    ],
    [
      'a bad address for mail',
      { ...contextOf(one), email: 'x' },
      'slotkeeper.email: expected an e-mail address',
    ],
  ])('%s', (_, context, said) => {
    const read = () => readContext(JSON.parse(JSON.stringify({ context })).context)
    expect(read).toThrow(said)
    expect(read).not.toThrow('\n')
  })

  test('a placeholder is refused where it could be deployed', () => {
    const account = '111122223333'
    expect(() => readContext(example)).not.toThrow()
    expect(() => readContext(example, { account })).toThrow(
      /targets\[0\].host: "shop.xxxx.*is a placeholder/,
    )
    for (const host of [
      one.host,
      'test.abc.rds.amazonaws.com',
      'my-example-db.corp.internal',
      'your-shop.abc.rds.amazonaws.com',
    ]) {
      expect(() => readContext(contextOf({ ...one, host }), { account })).not.toThrow()
    }
  })
})

function synth(...targets: object[]) {
  const app = new App()
  addStacks(app, readContext({ targets, email: 'oncall@shop.com' }))
  return app
}

const templateOf = (app: App, stack: string) =>
  Template.fromStack(app.node.findChild(stack) as Parameters<typeof Template.fromStack>[0]).toJSON()

test('adding a target does not change the stack of another', () => {
  const before = templateOf(synth(one), 'Slotkeeper-shop')
  const after = templateOf(
    synth({ ...one, name: 'another' }, one, { ...one, name: 'third' }),
    'Slotkeeper-shop',
  )
  expect(after).toEqual(before)
})

test('a target may have its own keys and no reserved concurrency', () => {
  const keyArn = (name: string) => `arn:aws:kms:eu-central-1:111122223333:key/${name}`
  const target = {
    ...one,
    secretKeyArn: keyArn('reaper'),
    adminSecretArn: one.secretArn.replace('shop-', 'master-'),
    adminSecretKeyArn: keyArn('master'),
    reserveConcurrency: false,
  }
  const resources = Object.values(templateOf(synth(target), 'Slotkeeper-shop').Resources) as {
    Properties: { PolicyDocument?: { Statement: { Action: unknown; Resource: unknown }[] } }
  }[]
  const decrypts = resources
    .flatMap(({ Properties }) => Properties.PolicyDocument?.Statement ?? [])
    .filter(({ Action }) => Action === 'kms:Decrypt')
    .map(({ Resource }) => Resource)
  // The function reads its own, and the one that makes the role reads both.
  expect(decrypts.sort()).toEqual([keyArn('master'), keyArn('reaper'), keyArn('reaper')])
  expect(JSON.stringify(resources)).not.toContain('ReservedConcurrentExecutions')
})

test.each<[object, string | undefined]>([
  [{}, 'on'],
  [{ record: false }, undefined],
  [{ mode: 'reap', policy: 'incident' }, undefined],
  [{ mode: 'reap', policy: 'incident', record: true }, 'on'],
])('a target with %j has SLOTKEEPER_RECORD %s', (different, expected) => {
  const template = Template.fromJSON(templateOf(synth({ ...one, ...different }), 'Slotkeeper-shop'))
  expect(environmentOf(template).SLOTKEEPER_RECORD).toBe(expected)
})

test('an ARN without its suffix grants the secret with any suffix and no other name', () => {
  const secretArn = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/slotkeeper'
  const { Resources } = templateOf(synth({ ...one, secretArn }), 'Slotkeeper-shop')
  const policies = (Object.values(Resources) as { Properties: Record<string, unknown> }[])
    .map(({ Properties }) => JSON.stringify(Properties.PolicyDocument ?? ''))
    .filter((policy) => policy.includes('GetSecretValue'))
  expect(policies).toEqual([expect.stringContaining(`"Resource":"${secretArn}-??????"`)])
})

test('the outputs name the function, its log group and its dashboard', () => {
  const { Outputs, Resources } = templateOf(synth(one), 'Slotkeeper-shop')
  const types = Object.fromEntries(
    ['FunctionName', 'LogGroupName', 'DashboardName'].map((name) => [
      name,
      Resources[Outputs[name].Value.Ref].Type,
    ]),
  )
  expect(types).toEqual({
    FunctionName: 'AWS::Lambda::Function',
    LogGroupName: 'AWS::Logs::LogGroup',
    DashboardName: 'AWS::CloudWatch::Dashboard',
  })
})

test('an alarm takes its settings from the target, then from the app, then from its defaults', () => {
  const app = new App()
  const alarms = {
    Leak: false,
    SlotsUsed: { threshold: 70, minutes: 5 },
    Exhausted: { minutes: 2 },
  }
  const own = { Leak: {}, SlotsUsed: { threshold: 60 }, Silent: false }
  addStacks(
    app,
    readContext({
      alarms,
      targets: [
        { ...one, mode: 'reap', policy: 'incident', alarms: own },
        { ...one, name: 'two' },
      ],
    }),
  )
  const settings = (stack: string) =>
    Object.fromEntries(
      Object.entries(
        templateOf(app, stack).Resources as Record<
          string,
          { Type: string; Properties: { Threshold: number; DatapointsToAlarm: number } }
        >,
      )
        .filter(([, { Type }]) => Type === 'AWS::CloudWatch::Alarm')
        .map(([id, { Properties }]) => [
          id.replace(/^ReaperAlarms|[0-9A-F]{8}$/g, ''),
          [Properties.Threshold, Properties.DatapointsToAlarm],
        ]),
    )
  expect(settings('Slotkeeper-shop')).toEqual({
    SlotsUsed: [60, 5],
    Exhausted: [0, 2],
    Leak: [20, 15],
    Refused: [0, 3],
    OldTransaction: [900, 1],
  })
  expect(settings('Slotkeeper-two')).toEqual({
    SlotsUsed: [70, 5],
    Exhausted: [0, 2],
    Silent: [1, 4],
    Refused: [0, 3],
    OldTransaction: [900, 1],
  })
})

test('targets share a topic, its subscription and, if there are several, an overview dashboard', () => {
  const types = (app: App) =>
    Object.values(templateOf(app, 'Slotkeeper').Resources).map(
      (resource) => (resource as { Type: string }).Type,
    )
  expect(types(synth(one))).toEqual([
    'AWS::SNS::Topic',
    'AWS::SNS::TopicPolicy',
    'AWS::SNS::Subscription',
  ])
  expect(types(synth(one, { ...one, name: 'two' }))).toContain('AWS::CloudWatch::Dashboard')
})

test('the mail reports alarms that start and end, and not the first OK of a new alarm', () => {
  const [subscription] = Object.values(
    templateOf(synth(one), 'Slotkeeper').Resources as Record<
      string,
      { Type: string; Properties: object }
    >,
  ).filter(({ Type }) => Type === 'AWS::SNS::Subscription')
  expect(subscription?.Properties).toMatchObject({
    Protocol: 'email',
    FilterPolicyScope: 'MessageBody',
    FilterPolicy: { $or: [{ NewStateValue: ['ALARM'] }, { OldStateValue: ['ALARM'] }] },
  })
})

test('the topic accepts messages from alarms of this account only', () => {
  const resources = Object.values(templateOf(synth(one), 'Slotkeeper').Resources) as {
    Type: string
    Properties: { PolicyDocument: { Statement: object[] } }
  }[]
  const [policy] = resources.filter(({ Type }) => Type === 'AWS::SNS::TopicPolicy')
  const allowed = policy?.Properties.PolicyDocument.Statement.filter(
    (statement) => (statement as { Effect: string }).Effect === 'Allow',
  )
  expect(allowed).toEqual([
    {
      Sid: 'AllowPublishFromAlarms',
      Effect: 'Allow',
      Principal: { Service: 'cloudwatch.amazonaws.com' },
      Action: 'sns:Publish',
      Resource: { Ref: expect.stringMatching(/^Alarms/) },
      Condition: {
        ArnLike: {
          'aws:SourceArn': {
            'Fn::Join': [
              '',
              [
                'arn:',
                { Ref: 'AWS::Partition' },
                ':cloudwatch:',
                { Ref: 'AWS::Region' },
                ':',
                { Ref: 'AWS::AccountId' },
                ':alarm:*',
              ],
            ],
          },
        },
      },
    },
  ])
})

test('the example has no cdk-nag AwsSolutions findings that are not suppressed with a reason', () => {
  const app = new App()
  addStacks(
    app,
    readContext({
      ...example,
      targets: [...example.targets, { ...one, everySeconds: 10, adminSecretArn: one.secretArn }],
    }),
  )
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  expect(() => app.synth()).not.toThrow()
})
