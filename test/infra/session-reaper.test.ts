import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App, Duration, Fn, Stack } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2'
import { Key } from 'aws-cdk-lib/aws-kms'
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
import { Topic } from 'aws-cdk-lib/aws-sns'
import { afterAll, describe, expect, test } from 'vitest'
import {
  type AlarmsOptions,
  connectionParameters,
  SessionReaper,
  type SessionReaperProps,
} from '../../infra/index.ts'
import { readCertificates } from '../../lambda/postgres/tls.ts'
import { readSettings } from '../../lambda/settings.ts'

const SECRET_ARN = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:reaper-AbCdEf'

const newStack = () =>
  new Stack(new App(), 'Test', { env: { account: '111122223333', region: 'eu-central-1' } })

const secretOf = (stack: Stack) =>
  Secret.fromSecretAttributes(stack, 'Secret', { secretCompleteArn: SECRET_ARN })

/** One target by its address; a test says what is different. */
function reaper(different: Partial<SessionReaperProps> = {}, stack = newStack()) {
  const auth = different.auth ?? { secret: secretOf(stack) }
  const construct = new SessionReaper(stack, 'Shop', {
    database: { host: 'shop.abc.eu-central-1.rds.amazonaws.com' },
    mode: 'reap',
    policy: 'incident',
    ...different,
    auth,
  })
  return { stack, construct, template: Template.fromStack(stack) }
}

const rules = [{ name: 'stale', state: 'idle', olderThan: '15m' } as const]

const has = (template: Template, type: string, properties: object) =>
  expect(() => template.hasResourceProperties(type, properties)).not.toThrow()

/** The variables of the sweep's function, without the intrinsic functions of CloudFormation. */
function environmentOf(template: Template): Record<string, string> {
  const [found] = Object.values(
    template.findResources('AWS::Lambda::Function', { Properties: { MemorySize: 128 } }),
  )
  const variables = found?.Properties.Environment.Variables as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : '5432',
    ]),
  )
}

const statements = (template: Template) =>
  Object.values(template.findResources('AWS::IAM::Policy')).flatMap(
    ({ Properties }) => Properties.PolicyDocument.Statement,
  )

test('the function runs where and as it should', () => {
  has(reaper().template, 'AWS::Lambda::Function', {
    Runtime: 'nodejs24.x',
    Architectures: ['arm64'],
    Handler: 'index.handler',
    MemorySize: 128,
    Timeout: 45,
    ReservedConcurrentExecutions: 1,
    LoggingConfig: { LogFormat: 'JSON' },
  })
})

test('the concurrency need not be reserved', () => {
  has(reaper({ reserveConcurrency: false }).template, 'AWS::Lambda::Function', {
    MemorySize: 128,
    ReservedConcurrentExecutions: Match.absent(),
  })
})

test('every minute, and never a backlog', () => {
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
])('every %d s: a queue for each offset', (seconds, delays) => {
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

describe('the role may do what the sweep does, and nothing else', () => {
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

  test("with a secret under a key of one's own", () => {
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

  test('with IAM and log lines: no AWS API at all', () => {
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

  test('IAM needs to know what to name', () => {
    expect(() => reaper({ auth: { iamUser: 'x' } })).toThrow(
      'Test/Shop: database.resourceId: missing',
    )
  })
})

describe("the deployed variables are the function's own", () => {
  test.each<[string, Partial<SessionReaperProps>, object]>([
    [
      'by default',
      {},
      { target: 'Shop', mode: 'reap', auth: { via: 'secret', secretArn: SECRET_ARN } },
    ],
    ['observing', { mode: 'observe', target: 'shop' }, { mode: 'observe', target: 'shop' }],
    ['with a policy', { policy: { rules, budget: 9 } }, { policy: { budget: 9 } }],
    [
      'with IAM',
      { auth: { iamUser: 'u' }, database: { host: 'h', port: 6432, resourceId: 'db-A' } },
      { auth: { via: 'iam', host: 'h', user: 'u' }, overrides: { port: 6432 } },
    ],
    [
      'with log lines',
      { metrics: 'emf', metricSet: 'essential', namespace: 'Mine', databaseName: 'd' },
      {
        metrics: { via: 'emf', set: 'essential', namespace: 'Mine' },
        overrides: { database: 'd' },
      },
    ],
  ])('%s', (_, different, expected) => {
    const settings = readSettings(environmentOf(reaper(different).template), '.')
    expect(settings).toMatchObject(expected)
    expect(settings.caFile).toMatch(/rds-ca\.pem$/)
  })

  test('but not where a value of it is known only in the deployment', () => {
    const users = [...Array(60).fill('x'.repeat(50)), Fn.importValue('AppRole')]
    expect(() => reaper({ policy: { rules, protect: [{ users }] } })).toThrow(
      'write the value itself',
    )
  })

  test('a policy that is too long for them goes along as a file', () => {
    const users = Array.from({ length: 300 }, (_, index) => `a_rather_long_user_name_${index}`)
    const { template, stack } = reaper({ policy: { rules, protect: [{ users }] } })
    expect(environmentOf(template).SLOTKEEPER_POLICY).toBe('file:policy.json')
    const [code] = Object.values(
      template.findResources('AWS::Lambda::Function', { Properties: { MemorySize: 128 } }),
    )
    const outdir = (stack.node.root as App).synth().directory
    const hash = code?.Properties.Code.S3Key.replace('.zip', '')
    expect(
      readSettings({ ...environmentOf(template) }, `${outdir}/asset.${hash}`).policy.protect?.[0]
        ?.users,
    ).toEqual(users)
  })

  describe('certificate authorities', () => {
    const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-authorities-'))
    afterAll(() => rmSync(folder, { recursive: true }))
    const file = (name: string) => join(folder, name)
    const openssl = (args: string, ...more: string[]) =>
      execFileSync('openssl', [...args.split(' '), ...more], { cwd: folder, stdio: 'pipe' })
    const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
    // As RDS names one.
    const subject = '/CN=Amazon RDS il-central-1 Root CA RSA2048 G1'
    openssl(`req -x509 ${key} -days 2 -keyout ours.key -out ours.pem -subj`, subject)
    openssl(`req ${key} -keyout server.key -out server.csr -subj /CN=server`)
    openssl('x509 -req -in server.csr -CA ours.pem -CAkey ours.key -days 2 -out server.pem')
    writeFileSync(file('hush.pem'), 'hush')
    const inIsrael = { host: 'shop.abc.il-central-1.rds.amazonaws.com' }

    test('go along with both functions, marked with their region', () => {
      const { template, stack } = reaper({
        database: inIsrael,
        certificateAuthorities: file('ours.pem'),
        createRole: { adminSecret: secretOf(newStack()) },
      })
      const outdir = (stack.node.root as App).synth().directory
      const written = Object.values(template.findResources('AWS::Lambda::Function'))
        .map(({ Properties }) => String(Properties.Code.S3Key).replace('.zip', ''))
        .map((hash) => join(outdir, `asset.${hash}`, 'rds-ca.pem'))
        .filter(existsSync)
      expect(written).toHaveLength(2)
      const own = readFileSync(file('ours.pem'), 'utf8').trim()
      for (const ca of written) {
        expect(readCertificates(ca, 'il-central-1')).toContain(own)
        expect(readCertificates(ca, 'eu-central-1')).not.toContain(own)
        expect(readCertificates(ca, 'eu-central-1').length).toBeGreaterThan(2)
      }
    })

    test.each<[string, Partial<SessionReaperProps>, string]>([
      [
        'of a region that the package lacks, and no file',
        { database: inIsrael },
        'Test/Shop: certificateAuthorities: missing; the package has no certificate authorities of RDS in il-central-1',
      ],
      [
        'of the region of the stack, and no file',
        { database: { host: Fn.importValue('host') } },
        'no certificate authorities of RDS in ca-west-1',
      ],
      [
        'of China, and no file',
        { database: { host: 'shop.abc.rds.cn-north-1.amazonaws.com.cn' } },
        'no certificate authorities of RDS in cn-north-1',
      ],
      [
        'a file that is not there',
        { certificateAuthorities: '/none.pem' },
        "Test/Shop: certificateAuthorities: ENOENT: no such file or directory, open '/none.pem'",
      ],
      [
        'a file that is no PEM',
        { certificateAuthorities: file('hush.pem') },
        'hush.pem holds no certificate; expected PEM',
      ],
      [
        "a server's certificate",
        { certificateAuthorities: file('server.pem') },
        'certificate 1 in',
      ],
    ])('%s fails the synthesis', (_, props, said) => {
      const region = said.includes('ca-west-1') ? 'ca-west-1' : 'eu-central-1'
      const stack = new Stack(new App(), 'Test', { env: { account: '111122223333', region } })
      expect(() => reaper(props, stack)).toThrow(said)
    })
  })

  test.each(['observ', undefined])('mode %s fails the synthesis', (mode) => {
    // As an app in JavaScript has it.
    expect(() => reaper({ mode: mode as 'observe' })).toThrow(
      'Test/Shop: mode: expected "reap", "observe"',
    )
  })

  test('the policy of the incident is deployed by its name', () => {
    expect(environmentOf(reaper().template).SLOTKEEPER_POLICY).toBe('incident')
  })

  test('a policy that is missing fails the synthesis in mode reap, and none is made up to observe', () => {
    expect(() => reaper({ policy: undefined })).toThrow(
      'Test/Shop: policy: missing; in mode "reap" expected a policy with rules, or "incident"',
    )
    const environment = environmentOf(reaper({ mode: 'observe', policy: undefined }).template)
    expect(environment).not.toHaveProperty('SLOTKEEPER_POLICY')
    expect(readSettings(environment, '.')).toMatchObject({ mode: 'observe', policyGiven: false })
  })

  test.each([
    ['no rules', {}, 'Test/Shop: policy.rules: missing; expected one or more rules'],
    ['a scope alone', { scope: { users: ['a'] } }, 'Test/Shop: policy.rules: missing'],
    ['another name', 'strict', 'Test/Shop: policy: expected an object'],
    ['null', null, 'Test/Shop: policy: expected an object'],
  ])('%s is no policy, in either mode', (_, policy, said) => {
    for (const mode of ['reap', 'observe'] as const) {
      // As an app in JavaScript has it.
      expect(() => reaper({ mode, policy: policy as never })).toThrow(said)
    }
  })

  test('a bad policy fails the synthesis with its path', () => {
    expect(() => reaper({ policy: { rules, keep: -1 } })).toThrow(
      'Test/Shop: policy.keep: expected a whole number from 0, found -1',
    )
  })
})

describe('the database', () => {
  test('an instance opens its security group, and is known by its endpoint', () => {
    const stack = newStack()
    const vpc = new Vpc(stack, 'Vpc')
    const database = new DatabaseInstance(stack, 'Db', {
      engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 }),
      vpc,
      iamAuthentication: true,
    })
    const { template } = reaper(
      { database, vpc, auth: { iamUser: 'slotkeeper' }, createEndpoints: true },
      stack,
    )
    has(template, 'AWS::EC2::SecurityGroupIngress', {
      Description: 'Slotkeeper',
      FromPort: { 'Fn::GetAtt': [Match.anyValue(), 'Endpoint.Port'] },
    })
    expect(JSON.stringify(statements(template))).toContain('DbiResourceId')
    // Tokens are signed locally, so the metrics alone ask for a way.
    expect(Object.keys(template.findResources('AWS::EC2::VPCEndpoint'))).toHaveLength(1)
    has(template, 'AWS::EC2::VPCEndpoint', {
      ServiceName: 'com.amazonaws.eu-central-1.monitoring',
    })
    has(template, 'AWS::Lambda::Function', {
      MemorySize: 128,
      VpcConfig: Match.objectLike({ SecurityGroupIds: [Match.anyValue()] }),
    })
  })

  test('may stand in another stack of the app', () => {
    const app = new App()
    const data = new Stack(app, 'Data')
    const vpc = new Vpc(data, 'Vpc')
    const database = new DatabaseInstance(data, 'Db', {
      engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 }),
      vpc,
    })
    const stack = new Stack(app, 'Guard')
    const adminSecret = Secret.fromSecretNameV2(stack, 'Admin', 'master')
    const { template } = reaper({ database, vpc, createRole: { adminSecret } }, stack)
    const port = Match.objectLike({ 'Fn::ImportValue': Match.stringLikeRegexp('EndpointPort') })
    has(template, 'AWS::EC2::SecurityGroupIngress', { FromPort: port, ToPort: port })
    expect(() => app.synth()).not.toThrow()
  })

  test('a cluster is swept at its writer, or at the instance that is named', () => {
    const stack = newStack()
    const vpc = new Vpc(stack, 'Vpc')
    const database = new DatabaseCluster(stack, 'Db', {
      engine: DatabaseClusterEngine.auroraPostgres({
        version: AuroraPostgresEngineVersion.VER_16_6,
      }),
      writer: ClusterInstance.serverlessV2('writer'),
      vpc,
    })
    const auth = { secret: secretOf(stack) }
    new SessionReaper(stack, 'Writer', { database, vpc, auth, mode: 'reap', policy: 'incident' })
    const [endpoint] = database.instanceEndpoints
    new SessionReaper(stack, 'Instance', {
      database,
      vpc,
      auth,
      mode: 'reap',
      policy: 'incident',
      endpoint,
    })
    const template = Template.fromStack(stack)
    const hosts = Object.values(
      template.findResources('AWS::Lambda::Function', { Properties: { MemorySize: 128 } }),
    ).map(({ Properties }) => Properties.Environment.Variables.SLOTKEEPER_HOST['Fn::GetAtt'])
    expect(hosts.map(([, attribute]) => attribute)).toEqual([
      'Endpoint.Address',
      'Endpoint.Address',
    ])
    expect(new Set(hosts.map(([id]) => id)).size).toBe(2)
  })
})

describe('the alarms', () => {
  const alarmsOf = (template: Template) =>
    Object.fromEntries(
      Object.entries(template.findResources('AWS::CloudWatch::Alarm')).map(
        ([id, { Properties }]) => [id.replace(/^ShopAlarms|[0-9A-F]{8}$/g, ''), Properties],
      ),
    )

  test.each([
    ['SlotsUsed', 'SlotsUsedPercent', 'Maximum', 'GreaterThanThreshold', 80, 3, 'ignore'],
    ['Exhausted', 'Exhausted', 'Maximum', 'GreaterThanThreshold', 0, 1, 'notBreaching'],
    ['Leak', 'SessionsReaped', 'Sum', 'GreaterThanThreshold', 20, 15, 'notBreaching'],
    ['Refused', 'ReapsRefused', 'Sum', 'GreaterThanThreshold', 0, 3, 'notBreaching'],
    [
      'OldTransaction',
      'OldestTransactionAge',
      'Maximum',
      'GreaterThanThreshold',
      900,
      1,
      'notBreaching',
    ],
  ])(
    '%s',
    (name, MetricName, Statistic, ComparisonOperator, Threshold, minutes, TreatMissingData) => {
      expect(alarmsOf(reaper().template)[name]).toMatchObject({
        MetricName,
        Statistic,
        ComparisonOperator,
        Threshold,
        EvaluationPeriods: minutes,
        DatapointsToAlarm: minutes,
        Period: 60,
        TreatMissingData,
        AlarmDescription: expect.stringMatching(/^Shop: .{40,}/),
      })
    },
  )

  test('Silent counts what Lambda itself counts', () => {
    expect(alarmsOf(reaper().template).Silent).toMatchObject({
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 1,
      EvaluationPeriods: 6,
      DatapointsToAlarm: 4,
      TreatMissingData: 'ignore',
      AlarmDescription: expect.stringContaining('for 3 to 4 minutes'),
      Metrics: expect.arrayContaining([
        expect.objectContaining({
          MetricStat: expect.objectContaining({
            Period: 60,
            Metric: expect.objectContaining({ MetricName: 'Errors', Namespace: 'AWS/Lambda' }),
          }),
        }),
      ]),
    })
  })

  test.each(['full', 'essential'] as const)(
    'where nothing is reaped they count what would be (%s)',
    (metricSet) => {
      const alarms = alarmsOf(reaper({ mode: 'observe', metricSet }).template)
      expect(alarms.Leak?.MetricName).toBe(metricSet === 'full' ? 'SessionsWouldReap' : undefined)
    },
  )

  test.each<[AlarmsOptions, string]>([
    [{ Leak: { minutes: 0 } }, 'Leak.minutes: expected a whole number from 1 to 1437'],
    [
      { Silent: { minutes: 1438 } },
      'Silent.minutes: expected a whole number from 1 to 1437, found 1438',
    ],
    [{ Leak: { threshold: Number.NaN } }, 'Leak.threshold: expected a number'],
  ])('%o is refused', (alarms, said) => {
    expect(() => reaper({ alarms })).toThrow(`Test/Shop: alarms.${said}`)
  })

  test('go off by default where docs/operations.md says so', () => {
    const table =
      readFileSync('docs/operations.md', 'utf8').split('| alarm | goes off | `threshold`')[1] ?? ''
    const documented = [...table.matchAll(/^\| `(\w+)` \| .* \| (\d+) \| (\d+) \|$/gm)].map(
      ([, name = '', threshold, minutes]) => [name, Number(threshold), Number(minutes)] as const,
    )
    const alarms = alarmsOf(reaper().template)
    expect(documented.map(([name]) => name).sort()).toEqual(Object.keys(alarms).sort())
    for (const [name, threshold, minutes] of documented) {
      const least = name === 'Silent' ? minutes + 1 : minutes
      expect(alarms[name]).toMatchObject({ Threshold: threshold, DatapointsToAlarm: least })
    }
  })

  test('one can be left out', () => {
    const names = Object.keys(alarmsOf(reaper({ alarms: { Leak: false } }).template))
    expect(names).toContain('Silent')
    expect(names).not.toContain('Leak')
  })

  test('have the thresholds and the topic that they are given', () => {
    const stack = newStack()
    const topic = new Topic(stack, 'Topic')
    const { template } = reaper(
      {
        alarms: {
          topic,
          SlotsUsed: { threshold: 70 },
          Leak: { threshold: 5, minutes: 30 },
          OldTransaction: { threshold: 3600 },
        },
      },
      stack,
    )
    const alarms = alarmsOf(template)
    expect([
      alarms.SlotsUsed.Threshold,
      alarms.Leak.Threshold,
      alarms.OldTransaction.Threshold,
    ]).toEqual([70, 5, 3600])
    expect(alarms.Leak).toMatchObject({ EvaluationPeriods: 30, DatapointsToAlarm: 30 })
    expect(alarms.Leak.AlarmDescription).toContain(
      'more than 5 sessions a minute, in each of 30 minutes',
    )
    for (const { AlarmActions, OKActions } of Object.values(alarms))
      expect([AlarmActions, OKActions]).toEqual([[expect.anything()], [expect.anything()]])
  })

  test('of the essential set live on it alone', () => {
    expect(Object.keys(alarmsOf(reaper({ metricSet: 'essential' }).template)).sort()).toEqual([
      'Exhausted',
      'Leak',
      'Silent',
      'SlotsUsed',
    ])
  })

  test('and the dashboard can be left out', () => {
    const { template } = reaper({ alarms: false, dashboard: false })
    expect(Object.keys(template.findResources('AWS::CloudWatch::Alarm'))).toHaveLength(0)
    expect(Object.keys(template.findResources('AWS::CloudWatch::Dashboard'))).toHaveLength(0)
  })
})

test.each([
  [
    'eu-central-1',
    'https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1',
  ],
  ['cn-north-1', 'https://cn-north-1.console.amazonaws.cn/cloudwatch/home?region=cn-north-1'],
  [
    'us-gov-west-1',
    'https://us-gov-west-1.console.amazonaws-us-gov.com/cloudwatch/home?region=us-gov-west-1',
  ],
])('the dashboard has a name, and its address in %s is an output', (region, page) => {
  const stack = new Stack(new App(), 'Test', { env: { account: '111122223333', region } })
  const auth = { secret: Secret.fromSecretNameV2(stack, 'Own', 'shop/slotkeeper') }
  const { template } = reaper({ target: 'my shop', auth }, stack)
  has(template, 'AWS::CloudWatch::Dashboard', { DashboardName: 'Slotkeeper-my-shop' })
  expect(Object.values(template.findOutputs('*'))).toContainEqual(
    expect.objectContaining({ Value: `${page}#dashboards/dashboard/Slotkeeper-my-shop` }),
  )
})

test('the first sweep comes when there is a role for it, and a way', () => {
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

test('the dashboard shows slots, sessions, ages, reaps, durations, who was reaped, and the alarms', () => {
  const [dashboard] = Object.values(reaper().template.findResources('AWS::CloudWatch::Dashboard'))
  const body = JSON.stringify(dashboard?.Properties.DashboardBody)
  for (const shown of [
    'SlotsUsed',
    'max - reserved',
    'SessionsIdleInTransaction',
    'SessionsReaped',
    'IdleAge',
    'p95',
    'SweepDuration',
    'Sessions last reaped, or that would be reaped',
    'would reap',
    'scope meets no session',
    'activity not tracked',
    'cannot signal',
    'report.inScope',
    'Alarms',
  ]) {
    expect(body).toContain(shown)
  }
})

test('a target takes 14 resources', () => {
  expect(Object.keys(reaper().template.toJSON().Resources)).toHaveLength(14)
})

describe('connectionParameters', () => {
  test('lets the server do its part', () => {
    expect(connectionParameters({ maxConnections: 500, reservedConnections: 5 })).toEqual({
      max_connections: '500',
      reserved_connections: '5',
      idle_in_transaction_session_timeout: '900000',
      tcp_keepalives_idle: '60',
      tcp_keepalives_interval: '10',
      tcp_keepalives_count: '6',
    })
    expect(connectionParameters()).not.toHaveProperty('max_connections')
  })

  test('ends idle sessions only where it is asked to', () => {
    expect(connectionParameters()).not.toHaveProperty('idle_session_timeout')
    expect(connectionParameters({ idleSessionTimeout: Duration.hours(1) })).toMatchObject({
      idle_session_timeout: '3600000',
    })
  })

  test.each<[object, string]>([
    [{ maxConnections: 0 }, 'maxConnections: expected a whole number from 1'],
    [{ maxConnections: 1.5 }, 'maxConnections: expected a whole number from 1'],
    [{ maxConnections: -1 }, 'maxConnections: expected a whole number from 1'],
    [{ maxConnections: 262_144 }, 'to 262143'],
    [{ maxConnections: '500' }, 'maxConnections: expected a whole number from 1'],
    [{ reservedConnections: 0 }, 'reservedConnections: expected a whole number from 1'],
    [{ maxConnections: 8, reservedConnections: 5 }, 'PostgreSQL would not start'],
    [{ idleSessionTimeout: 3600 }, 'idleSessionTimeout: expected a Duration'],
    [{ idleSessionTimeout: Duration.days(25) }, 'at most 24 days'],
    [{ idleSesionTimeout: Duration.hours(1) }, 'did you mean "idleSessionTimeout"?'],
  ])('%j is refused', (props, said) => {
    expect(() => connectionParameters(props)).toThrow(said)
    expect(() => connectionParameters(props)).toThrow(/^connectionParameters: /)
  })
})

test('the role for the database is made by a function that reads two secrets', () => {
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

test('the role is made when the ways to the database and to its secrets are open', () => {
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
