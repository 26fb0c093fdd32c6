import type { Duration } from 'aws-cdk-lib'
import type { IRole } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { Architecture } from 'aws-cdk-lib/aws-lambda'
import type { ILogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Endpoint } from 'aws-cdk-lib/aws-rds'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { AlarmsOptions } from './alarm-options.ts'
import type { Database } from './database.ts'
import type { Placement } from './network.ts'
import type { MetricSet, MetricsVia, ReaperMode } from './options.ts'
import type { PolicyInput } from './policy.ts'

/**
 * Logs in with the name and the password of a secret.
 * @example { secret: Secret.fromSecretCompleteArn(this, 'Secret', arn) }
 */
export interface SecretAuth {
  /**
   * Holds `username` and `password`, in the stack's own region.
   * @example Secret.fromSecretCompleteArn(this, 'Secret', arn)
   */
  readonly secret: ISecret
  /**
   * The key of the secret, where that is not AWS's own.
   * @example Key.fromKeyArn(this, 'Key', arn)
   * @default - AWS's own key
   */
  readonly encryptionKey?: IKey
}

/**
 * Logs in with IAM tokens. The role needs `GRANT rds_iam`, and the server IAM authentication.
 * @example { iamUser: 'slotkeeper' }
 */
export interface IamAuth {
  /**
   * The database role.
   * @example 'slotkeeper'
   */
  readonly iamUser: string
}

/** How the function logs in: with a secret's password, or with IAM tokens. */
export type Auth = SecretAuth | IamAuth

/**
 * Makes the database role in the deployment.
 * @example { adminSecret: database.secret }
 */
export interface CreateRoleProps {
  /**
   * Of a role that may make roles: the master user, for example.
   * @example database.secret
   */
  readonly adminSecret: ISecret
  /**
   * The key of that secret, where it is not AWS's own.
   * @example Key.fromKeyArn(this, 'Key', arn)
   * @default - AWS's own key
   */
  readonly adminEncryptionKey?: IKey
}

/**
 * What a `SessionReaper` sweeps, and how.
 * @example { database, vpc, auth: { secret }, mode: 'observe' }
 */
export interface SessionReaperProps extends Placement {
  /**
   * The name of the server in metrics, log and alarms; ASCII.
   * @example 'shop'
   * @default - the construct's id
   */
  readonly target?: string
  /**
   * The server: an instance, a cluster (of which the writer is swept), or an address.
   * @example { host: 'shop.abcdefghijkl.eu-central-1.rds.amazonaws.com' }
   */
  readonly database: Database
  /**
   * The instance of a cluster to sweep. Either each instance has a reaper with its endpoint, or one
   * reaper without an endpoint sweeps the writer: with both, the writer is swept twice.
   * @example cluster.instanceEndpoints[0]
   * @default - the writer
   */
  readonly endpoint?: Endpoint
  /**
   * The database to connect to; sessions of all databases are seen from it.
   * @example 'shop'
   * @default - the secret's, or `postgres`
   */
  readonly databaseName?: string
  /**
   * How the function logs in.
   * @example { iamUser: 'slotkeeper' }
   */
  readonly auth: Auth
  /**
   * A file of certificate authorities in PEM form, trusted beside those of RDS that the package has. The regions that
   * docs/operations.md names need one.
   * @example 'certificates/rds-il-central-1.pem'
   * @default - none
   */
  readonly certificateAuthorities?: string
  /**
   * `reap` ends sessions, `observe` only looks. There is no default.
   * @example 'observe'
   */
  readonly mode: ReaperMode
  /**
   * Which sessions may be ended: a policy, or `incident`: idle for over 30 s, and all idle sessions once
   * more than 5 are idle. Mode `reap` needs one.
   * @example { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] }
   * @default - `incident`, in mode `observe` alone
   */
  readonly policy?: PolicyInput | 'incident'
  /**
   * How often to sweep: 10, 15, 20, 30 or 60 seconds.
   * @example Duration.seconds(15)
   * @default Duration.minutes(1)
   */
  readonly every?: Duration
  /**
   * Makes the endpoints that the function needs in the VPC, which takes one of each service.
   * @example true
   * @default false
   */
  readonly createEndpoints?: boolean
  /**
   * How the metrics reach CloudWatch.
   * @example 'emf'
   * @default 'cloudwatch'
   */
  readonly metrics?: MetricsVia
  /**
   * Which metrics are published.
   * @example 'essential'
   * @default 'full'
   */
  readonly metricSet?: MetricSet
  /**
   * The namespace of the metrics; ASCII, and not beginning with `AWS/`.
   * @example 'Databases'
   * @default 'Slotkeeper'
   */
  readonly namespace?: string
  /**
   * Who is told, and each alarm by its name; or `false` for no alarms.
   * @example { topics: [onCall], SlotsUsed: { threshold: 90 }, Leak: false }
   * @default - alarms that tell nobody
   */
  readonly alarms?: AlarmsOptions | false
  /**
   * Whether to make a dashboard.
   * @example false
   * @default true
   */
  readonly dashboard?: boolean
  /**
   * Keeps two sweeps from overlapping; takes one from the account's concurrency.
   * @example false
   * @default true
   */
  readonly reserveConcurrency?: boolean
  /**
   * The memory of the function, in MB, from 128 to 10240. More of it brings more of a processor.
   * @example 256
   * @default 128
   */
  readonly memorySize?: number
  /**
   * The processor of the function.
   * @example Architecture.X86_64
   * @default Architecture.ARM_64
   */
  readonly architecture?: Architecture
  /**
   * A role for the function, which gets the permissions that it needs. Lambda has to be allowed to
   * assume it.
   * @example Role.fromRoleName(this, 'Role', 'slotkeeper')
   * @default - a role of its own
   */
  readonly role?: IRole
  /**
   * A log group for the function.
   * @example LogGroup.fromLogGroupName(this, 'Log', '/databases/slotkeeper')
   * @default - a log group of its own
   */
  readonly logGroup?: ILogGroup
  /**
   * How long the function's own log group keeps its lines.
   * @example RetentionDays.THREE_MONTHS
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: RetentionDays
  /**
   * The key of the function's own log group. CloudWatch Logs is allowed to use it for that group.
   * @example new Key(this, 'LogKey', { enableKeyRotation: true })
   * @default - a key of CloudWatch Logs
   */
  readonly logEncryptionKey?: IKey
  /**
   * Makes the database role in the deployment, as the administrator whose secret this is.
   * @example { adminSecret: database.secret }
   * @default - you make it
   */
  readonly createRole?: CreateRoleProps
}
