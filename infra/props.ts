import type { Duration } from 'aws-cdk-lib'
import type { IRole } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { Architecture } from 'aws-cdk-lib/aws-lambda'
import type { ILogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Endpoint } from 'aws-cdk-lib/aws-rds'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { AlarmsOptions } from './alarm-options.ts'
import type { ServerBound } from './bounds.ts'
import type { Database } from './database.ts'
import type { Placement } from './network.ts'
import type { MetricSet, MetricsVia, ReaperMode } from './options.ts'
import type { PolicyInput } from './policy.ts'

/**
 * The function logs in with the user name and the password in a Secrets Manager secret.
 * @example { secret: Secret.fromSecretCompleteArn(this, 'Secret', arn) }
 */
export interface SecretAuth {
  /**
   * The secret, a JSON object with `username` and `password`. It must be in the region of the stack.
   * @example Secret.fromSecretCompleteArn(this, 'Secret', arn)
   */
  readonly secret: ISecret
  /**
   * The KMS key that encrypts the secret, if it is a customer managed key.
   * @example Key.fromKeyArn(this, 'Key', arn)
   * @default - the AWS managed key, `aws/secretsmanager`
   */
  readonly encryptionKey?: IKey
}

/**
 * The function logs in with IAM tokens instead of a password. IAM authentication must be enabled on the
 * server, and the database role needs `GRANT rds_iam`.
 * @example { iamUser: 'slotkeeper' }
 */
export interface IamAuth {
  /**
   * The name of the database role.
   * @example 'slotkeeper'
   */
  readonly iamUser: string
}

/** How the function logs in: with a password from a secret, or with IAM tokens. */
export type Auth = SecretAuth | IamAuth

/**
 * Creates the database role during the deployment.
 * @example { adminSecret: database.secret }
 */
export interface CreateRoleProps {
  /**
   * The secret of a role that may create roles, such as the master user.
   * @example database.secret
   */
  readonly adminSecret: ISecret
  /**
   * The KMS key that encrypts this secret, if it is a customer managed key.
   * @example Key.fromKeyArn(this, 'Key', arn)
   * @default - the AWS managed key, `aws/secretsmanager`
   */
  readonly adminEncryptionKey?: IKey
}

/**
 * The properties of a `SessionReaper`: which server it sweeps, and how.
 * @example { database, vpc, auth: { secret }, mode: 'observe' }
 */
export interface SessionReaperProps extends Placement {
  /**
   * The name of the server in the metrics, the log and the alarms: 1 to 200 ASCII characters.
   * @example 'shop'
   * @default - the construct's id
   */
  readonly target?: string
  /**
   * The server to sweep: an RDS instance, an Aurora cluster, or an address. For a cluster, the reaper sweeps
   * every instance that the cluster has at that moment.
   * @example { host: 'shop.abcdefghijkl.eu-central-1.rds.amazonaws.com' }
   */
  readonly database: Database
  /**
   * Sweeps only one instance of a cluster: the one with this endpoint.
   * @example cluster.instanceEndpoints[0]
   * @default - every instance of the cluster
   */
  readonly endpoint?: Endpoint
  /**
   * Whether an Aurora Serverless cluster may pause. Before the reaper connects, it asks CloudWatch whether the
   * cluster is paused, or nobody else is connected. If so, or in doubt, it makes no connection. It sees
   * new sessions some minutes later than without this property.
   * @example true
   * @default false
   */
  readonly autoPause?: boolean
  /**
   * The database that the function connects to. From there it sees the sessions of all databases.
   * @example 'shop'
   * @default - `dbname` in the secret, or else `postgres`
   */
  readonly databaseName?: string
  /**
   * How the function logs in: `{ secret }` or `{ iamUser }`.
   * @example { iamUser: 'slotkeeper' }
   */
  readonly auth: Auth
  /**
   * A file with certificate authorities in PEM form. The function trusts them in addition to the RDS
   * authorities in this package. A few regions need this file; docs/operations.md names them.
   * @example 'certificates/rds-il-central-1.pem'
   * @default - none
   */
  readonly certificateAuthorities?: string
  /**
   * `reap` ends sessions. `observe` ends no session, and only reports which ones the policy would end.
   * There is no default.
   * @example 'observe'
   */
  readonly mode: ReaperMode
  /**
   * Which sessions may be ended: a policy, or `incident`, the name of the built-in policy. The
   * built-in policy ends each session that is idle for over 30 s, and every idle session when more than 5
   * are idle. Mode `reap` requires this property.
   * @example { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] }
   * @default - `incident` in mode `observe`; none in mode `reap`
   */
  readonly policy?: PolicyInput | 'incident'
  /**
   * How often to sweep: every 10, 15, 20, 30 or 60 seconds.
   * @example Duration.seconds(15)
   * @default Duration.minutes(1)
   */
  readonly every?: Duration
  /**
   * Whether to create the VPC endpoints for the AWS APIs that the function calls. A VPC can have only one
   * endpoint for each service, so leave this out if the VPC already has them.
   * @example true
   * @default false
   */
  readonly createEndpoints?: boolean
  /**
   * How the metrics reach CloudWatch: `cloudwatch` calls its API, `emf` writes log lines in the embedded
   * metric format.
   * @example 'emf'
   * @default 'cloudwatch'
   */
  readonly metrics?: MetricsVia
  /**
   * Which metrics to publish: `full` for all, `essential` for the four that the most important alarms need.
   * @example 'essential'
   * @default 'full'
   */
  readonly metricSet?: MetricSet
  /**
   * The CloudWatch namespace of the metrics: 1 to 255 ASCII characters, not beginning with `AWS/`.
   * @example 'Databases'
   * @default 'Slotkeeper'
   */
  readonly namespace?: string
  /**
   * Whether each sweep writes its snapshot to the log, as a line of a recording without query texts. From
   * these lines `slotkeeper replay` shows what any policy would have done. It costs log: docs/operations.md
   * says how much.
   * @example true
   * @default - true in mode `observe`, false in mode `reap`
   */
  readonly record?: boolean
  /**
   * The SNS topics for all alarms, and the settings of each alarm by its name. `false` creates no alarms.
   * @example { topics: [onCall], SlotsUsed: { threshold: 90 }, Leak: false }
   * @default - all alarms, without a topic
   */
  readonly alarms?: AlarmsOptions | false
  /**
   * Whether to create a CloudWatch dashboard.
   * @example false
   * @default true
   */
  readonly dashboard?: boolean
  /**
   * Whether to reserve a concurrency of 1 for the function, so that two sweeps never overlap. This takes 1
   * from the account's unreserved concurrency.
   * @example false
   * @default true
   */
  readonly reserveConcurrency?: boolean
  /**
   * The memory of the function in MB, from 128 to 10240. Lambda gives a function more CPU with more memory.
   * @example 512
   * @default 256
   */
  readonly memorySize?: number
  /**
   * The processor architecture of the function.
   * @example Architecture.X86_64
   * @default Architecture.ARM_64
   */
  readonly architecture?: Architecture
  /**
   * The IAM role of the function. The construct adds the permissions that the function needs. The role must
   * allow Lambda to assume it.
   * @example Role.fromRoleName(this, 'Role', 'slotkeeper')
   * @default - a new role
   */
  readonly role?: IRole
  /**
   * The log group of the function.
   * @example LogGroup.fromLogGroupName(this, 'Log', '/databases/slotkeeper')
   * @default - a new log group
   */
  readonly logGroup?: ILogGroup
  /**
   * How long the new log group keeps its lines. It can't be given together with `logGroup`.
   * @example RetentionDays.THREE_MONTHS
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: RetentionDays
  /**
   * The KMS key that encrypts the new log group. The construct allows CloudWatch Logs to use the key. It
   * can't be given together with `logGroup`.
   * @example new Key(this, 'LogKey', { enableKeyRotation: true })
   * @default - CloudWatch Logs encrypts the log group with its own key
   */
  readonly logEncryptionKey?: IKey
  /**
   * Creates the database role during the deployment, logged in as the administrator of `adminSecret`.
   * @example { adminSecret: database.secret }
   * @default - you create the role yourself; `npx slotkeeper grants` prints the SQL
   */
  readonly createRole?: CreateRoleProps
  /**
   * Limits that the server itself keeps for roles of applications: set at deployment, changed with the next one,
   * and taken back when they are removed, unless a person has changed them since. They need `createRole`.
   * @example [{ user: 'shop_app', idleSessionTimeout: '1h', connectionLimit: 60 }]
   * @default - none
   */
  readonly bounds?: readonly ServerBound[]
}
