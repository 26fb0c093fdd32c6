import { RetentionDays } from 'aws-cdk-lib/aws-logs'
import * as v from 'valibot'
import { list, oneOf, record, text } from '../lambda/core/schema.ts'
import type { AlarmOptions, AlarmsOptions } from './alarm-options.ts'
import { MOST_MINUTES } from './alarm-settings.ts'
import { checked, flag, problemOf, wholeBetween } from './checked.ts'
import type { DatabaseAddress } from './database.ts'
import { hostProblem } from './hosts.ts'
import {
  databaseProblem,
  iamUserProblem,
  namespaceProblem,
  resourceIdProblem,
  targetProblem,
} from './names.ts'
import type { CreateRoleProps, IamAuth, SecretAuth, SessionReaperProps } from './props.ts'
import { PERIODS_S } from './schedule.ts'

/** A schema for each property. The compiler checks that none is missing. */
type Entries<T> = Record<keyof T, v.GenericSchema>

/** The accepted form of each property that has no default. */
const REQUIRED: Record<string, string> = {
  database: 'an rds instance or cluster, or { host }',
  auth: '{ secret } or { iamUser }',
  mode: '"reap" or "observe"',
  'createRole.adminSecret': "the administrator's secret",
  'database.host': "the server's endpoint",
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** An object of the CDK, recognized by one member. `instanceof` fails if the app has another copy of the CDK. */
const like = (member: string, form: string) =>
  v.custom<object>((value) => isObject(value) && member in value, `expected ${form}`)

const key = v.optional(like('keyArn', 'a kms.IKey'))
const secret = like('secretArn', 'a secretsmanager.ISecret, not its ARN or name')
const anyOf = (member: string, form: string) =>
  v.optional(v.array(like(member, form), `expected a list of ${form}`))

const address = record({
  host: checked("the server's endpoint", hostProblem),
  port: v.optional(wholeBetween(1, 65535)),
  resourceId: v.optional(checked('"db-…" or "cluster-…"', resourceIdProblem)),
  cluster: v.optional(flag),
} satisfies Entries<DatabaseAddress>)

const database = v.lazy((value) => {
  if (!isObject(value)) return v.never(`expected ${REQUIRED.database}`)
  if ('dbProxyArn' in value)
    return v.never('this is RDS Proxy, a pooler; expected the server itself')
  return 'instanceEndpoint' in value || 'clusterEndpoint' in value
    ? v.custom(postgres, ENGINE)
    : address
})

const ENGINE = 'expected a PostgreSQL engine'

function postgres(value: unknown): boolean {
  const { engine } = value as { engine?: { engineType: string; engineFamily?: string } }
  return engine === undefined || /postgres/i.test(engine.engineFamily ?? engine.engineType)
}

const topics = anyOf('topicArn', 'sns.ITopic')
const actions = anyOf('bind', 'cloudwatch.IAlarmAction')

const alarm = v.optional(
  unlessFalse(
    record({
      threshold: v.optional(v.pipe(v.number('expected a number'), v.finite('expected a number'))),
      minutes: v.optional(wholeBetween(1, MOST_MINUTES)),
      topics,
      actions,
    } satisfies Entries<AlarmOptions>),
  ),
)

const alarms = record({
  topic: v.optional(like('topicArn', 'an sns.ITopic')),
  topics,
  actions,
  SlotsUsed: alarm,
  Exhausted: alarm,
  Silent: alarm,
  Leak: alarm,
  Refused: alarm,
  OldTransaction: alarm,
} satisfies Entries<AlarmsOptions>)

function unlessFalse<T extends v.GenericSchema>(schema: T) {
  return v.lazy((value) => (value === false ? v.literal(false) : schema))
}

const EVERY = `expected Duration.seconds(n), n one of ${PERIODS_S.join(', ')}`

const every = v.pipe(
  like('toSeconds', 'a Duration'),
  v.check((value) => {
    const { isUnresolved, toMilliseconds } = value as {
      isUnresolved(): boolean
      toMilliseconds(): number
    }
    if (isUnresolved.call(value)) return false
    const seconds = toMilliseconds.call(value) / 1000
    return PERIODS_S.some((period) => period === seconds)
  }, EVERY),
)

const retention = v.custom<RetentionDays>(
  (value) => Object.values(RetentionDays).includes(value as RetentionDays),
  'expected one of logs.RetentionDays',
)

const schema = record({
  target: v.optional(checked('a name', targetProblem)),
  database,
  endpoint: v.optional(like('hostname', 'an rds.Endpoint')),
  autoPause: v.optional(flag),
  databaseName: v.optional(checked('a database name', databaseProblem)),
  auth: record({
    secret: v.optional(secret),
    encryptionKey: key,
    iamUser: v.optional(checked('a role name', iamUserProblem)),
  } satisfies Entries<SecretAuth & IamAuth>),
  certificateAuthorities: v.optional(text('a file of certificate authorities in PEM form')),
  mode: oneOf(['reap', 'observe']),
  // The construct validates it by the function's own schema.
  policy: v.optional(v.unknown()),
  every: v.optional(every),
  createEndpoints: v.optional(flag),
  metrics: v.optional(oneOf(['cloudwatch', 'emf'])),
  metricSet: v.optional(oneOf(['full', 'essential'])),
  namespace: v.optional(checked('a namespace', namespaceProblem)),
  record: v.optional(flag),
  alarms: v.optional(unlessFalse(alarms)),
  dashboard: v.optional(flag),
  reserveConcurrency: v.optional(flag),
  memorySize: v.optional(wholeBetween(128, 10_240)),
  architecture: v.optional(like('dockerPlatform', 'a lambda.Architecture')),
  role: v.optional(like('roleArn', 'an iam.IRole')),
  logGroup: v.optional(like('logGroupArn', 'a logs.ILogGroup')),
  logRetention: v.optional(retention),
  logEncryptionKey: key,
  createRole: v.optional(
    record({ adminSecret: secret, adminEncryptionKey: key } satisfies Entries<CreateRoleProps>),
  ),
  // The construct validates it by the function's own schema.
  bounds: v.optional(v.unknown()),
  vpc: v.optional(like('vpcId', 'an ec2.IVpc')),
  vpcSubnets: v.optional(v.custom(isObject, 'expected an ec2.SubnetSelection')),
  securityGroups: v.optional(
    list(like('securityGroupId', 'ec2.ISecurityGroup'), 'security groups'),
  ),
} satisfies Entries<SessionReaperProps>)

/** The problems of each property on its own. An app in JavaScript has no compiler that finds them. */
export function shapeProblems(props: unknown): string[] {
  const { issues = [] } = v.safeParse(schema, props)
  return issues.map((issue) => {
    const problem = problemOf('', issue).slice(1)
    const [path = ''] = /^.*(?=: missing$)/.exec(problem) ?? []
    return path in REQUIRED ? `${problem}; expected ${REQUIRED[path]}` : problem
  })
}
