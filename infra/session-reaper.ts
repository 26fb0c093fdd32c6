import { Duration, Stack } from 'aws-cdk-lib'
import type { IAlarm } from 'aws-cdk-lib/aws-cloudwatch'
import type { Connections, IConnectable } from 'aws-cdk-lib/aws-ec2'
import { PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Endpoint } from 'aws-cdk-lib/aws-rds'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import { Construct, type IDependable } from 'constructs'
import type { MetricSet } from '../lambda/core/measurements.ts'
import { INCIDENT, POLICY_MISSING, type PolicyInput, parsePolicy } from '../lambda/core/policy.ts'
import type { Mode } from '../lambda/core/report.ts'
import type { AlarmSettings } from './alarm-settings.ts'
import { ReaperAlarms, TargetMetrics } from './alarms.ts'
import { builtFolder, sweepCode } from './assets.ts'
import { readAuthorities, refuseUnknownRegion } from './authorities.ts'
import { ReaperDashboard } from './dashboard.ts'
import { addressOf, admit, type Database, grantConnect } from './database.ts'
import { BundledFunction } from './function.ts'
import { type Placement, PrivateEndpoints } from './network.ts'
import { ReaperRole } from './role.ts'
import { NO_BACKLOG, SweepSchedule } from './schedule.ts'

const MEMORY_MB = 128
/** A sweep and its metrics end within half a minute; the next one comes after a whole one. */
const TIMEOUT = Duration.seconds(45)

/** How the function logs in: with a secret's password, or with IAM tokens. */
export type Auth =
  | {
      readonly secret: ISecret
      /** Where the secret is not encrypted with AWS's own key. */
      readonly encryptionKey?: IKey
    }
  | { readonly iamUser: string }

export interface SessionReaperProps extends Placement {
  /** The dimension of the metrics. @default - the construct's id */
  readonly target?: string
  readonly database: Database
  /** The instance of a cluster to sweep. @default - its writer */
  readonly endpoint?: Endpoint
  /** @default - the secret's, or `postgres` */
  readonly databaseName?: string
  readonly auth: Auth
  /**
   * A file of certificate authorities in PEM form, trusted beside those of RDS that the package has.
   * @default - none; needed in the regions that docs/operations.md names
   */
  readonly certificateAuthorities?: string
  /** `reap` ends sessions, `observe` only looks. There is no default. */
  readonly mode: Mode
  /**
   * A policy, or `incident`: idle for over 30 s, and all idle sessions once more than 5 are idle.
   * Mode `reap` needs one. @default - `incident`, in mode `observe` alone
   */
  readonly policy?: PolicyInput
  /** Makes the endpoints that the function needs in the VPC; once in a VPC. @default false */
  readonly createEndpoints?: boolean
  /** `emf` writes the metrics as log lines. @default cloudwatch */
  readonly metrics?: 'cloudwatch' | 'emf'
  /** @default full */
  readonly metricSet?: MetricSet
  /** @default Slotkeeper */
  readonly namespace?: string
  /** 10, 15, 20, 30 or 60 seconds. @default 1 minute */
  readonly every?: Duration
  /** Settings of single alarms and the topic of all, or `false` for none. @default - alarms without a topic */
  readonly alarms?: (AlarmSettings & { readonly topic?: ITopic }) | false
  /** @default true */
  readonly dashboard?: boolean
  /** Keeps two sweeps from overlapping; takes one from the account's concurrency. @default true */
  readonly reserveConcurrency?: boolean
  /** @default one month */
  readonly logRetention?: RetentionDays
  /** Makes the database role at deploy, as the administrator whose secret this is. @default - you do */
  readonly createRole?: { readonly adminSecret: ISecret; readonly adminEncryptionKey?: IKey }
}

/** Sweeps one PostgreSQL server every minute, with alarms and a dashboard. */
export class SessionReaper extends Construct implements IConnectable {
  readonly function: IFunction
  readonly metrics: TargetMetrics
  readonly alarms: IAlarm[]
  readonly connections: Connections

  /** @throws Error that names the path and the property: synthesis fails, and nothing is deployed */
  constructor(scope: Construct, id: string, props: SessionReaperProps) {
    super(scope, id)
    const { namespace = 'Slotkeeper', metricSet = 'full' } = props
    this.metrics = new TargetMetrics(namespace, props.target ?? id, metricSet)
    const sweep = this.addFunction(props, namespace)
    this.function = sweep.function
    this.connections = sweep.connections
    this.permit(sweep.role, props, namespace)
    const ways = this.connect(sweep, props)
    const schedule = new SweepSchedule(this, 'Schedule', sweep.function, props.every)
    // The first sweep comes when it can succeed.
    schedule.node.addDependency(...ways)
    this.alarms = this.addAlarms(props)
    if (props.dashboard !== false) {
      const { metrics, alarms } = this
      new ReaperDashboard(this, 'Dashboard', {
        metrics,
        alarms,
        logGroup: sweep.logGroup,
        sweep: sweep.function,
      })
    }
  }

  private addFunction(props: SessionReaperProps, namespace: string): BundledFunction {
    const { auth, vpc, vpcSubnets, securityGroups, metricSet, logRetention } = props
    const { host, port } = addressOf(props.database, props.endpoint)
    const { code, policy } = sweepCode(
      this.checkedPolicy(props),
      this.checkedAuthorities(props.certificateAuthorities, host),
    )
    const secret = 'secret' in auth ? auth.secret : undefined
    const iamUser = 'iamUser' in auth ? auth.iamUser : undefined
    const environment = withoutAbsent({
      SLOTKEEPER_TARGET: this.metrics.target,
      SLOTKEEPER_MODE: this.checkedMode(props.mode),
      // Left out, so that the function knows that none was given, and says so.
      SLOTKEEPER_POLICY: props.policy === undefined ? undefined : policy,
      SLOTKEEPER_HOST: host,
      SLOTKEEPER_PORT: port,
      SLOTKEEPER_DATABASE: props.databaseName,
      SLOTKEEPER_SECRET_ARN: secret?.secretArn,
      SLOTKEEPER_AUTH: iamUser === undefined ? undefined : 'iam',
      SLOTKEEPER_USER: iamUser,
      SLOTKEEPER_METRICS: props.metrics,
      SLOTKEEPER_METRIC_SET: metricSet,
      SLOTKEEPER_NAMESPACE: namespace,
    })
    return new BundledFunction(this, 'Sweep', {
      description: `Slotkeeper sweeps ${this.metrics.target}`,
      code,
      timeout: TIMEOUT,
      logRetention,
      vpc,
      vpcSubnets,
      securityGroups,
      options: {
        memorySize: MEMORY_MB,
        environment,
        ...NO_BACKLOG,
        reservedConcurrentExecutions: props.reserveConcurrency === false ? undefined : 1,
      },
    })
  }

  private permit(role: Role, { auth, database, metrics }: SessionReaperProps, namespace: string) {
    if (metrics !== 'emf') role.addToPolicy(putMetricData(namespace))
    if ('secret' in auth) {
      auth.secret.grantRead(role)
      auth.encryptionKey?.grantDecrypt(role)
    } else {
      grantConnect(this, database, role, auth.iamUser)
    }
  }

  /**
   * Opens the ways to the database and, where asked for, to the AWS APIs and for the role.
   * @returns what has to be there before a sweep can succeed
   */
  private connect(sweep: BundledFunction, props: SessionReaperProps): IDependable[] {
    const { auth, database, vpc, vpcSubnets } = props
    // An address is known before the server behind it takes connections.
    const ways: IDependable[] = 'host' in database ? [] : [database]
    if (vpc) ways.push(...admit(database, sweep))
    if (vpc && props.createEndpoints) {
      const services: ('secretsmanager' | 'monitoring')[] = []
      // The administrator's secret is read even where the sweep itself logs in by IAM.
      if ('secret' in auth || props.createRole) services.push('secretsmanager')
      if (props.metrics !== 'emf') services.push('monitoring')
      ways.push(
        new PrivateEndpoints(this, 'Endpoints', {
          vpc,
          from: sweep,
          services,
          subnets: vpcSubnets,
        }),
      )
    }
    if (props.createRole) {
      const role = new ReaperRole(this, 'Role', {
        ...props.createRole,
        ...auth,
        certificateAuthorities: props.certificateAuthorities,
        ...addressOf(database, props.endpoint),
        databaseName: props.databaseName,
        ...sweep.placement,
      })
      role.node.addDependency(...ways)
      ways.push(role)
    }
    return ways
  }

  private addAlarms({ alarms, mode }: SessionReaperProps): IAlarm[] {
    if (alarms === false) return []
    const { metrics, function: sweep } = this
    return new ReaperAlarms(this, 'Alarms', { ...alarms, metrics, sweep, mode }).all
  }

  /** An app in JavaScript has no compiler to miss it. */
  private checkedMode(mode: Mode): Mode {
    if (mode === 'reap' || mode === 'observe') return mode
    throw new Error(`${this.node.path}: mode is ${mode}; expected "reap" or "observe"`)
  }

  private checkedAuthorities(file: string | undefined, host: string): string | undefined {
    if (file !== undefined) return readAuthorities(file, this.node.path)
    refuseUnknownRegion(host, Stack.of(this).region, builtFolder('lambda'), this.node.path)
    return undefined
  }

  private checkedPolicy({ mode, policy }: SessionReaperProps): string {
    if (policy === undefined && mode === 'reap') {
      throw new Error(`${this.node.path}: policy: ${POLICY_MISSING}`)
    }
    const input = policy === undefined ? INCIDENT : policy
    const policyJson = JSON.stringify(input)
    // As the function will read it: JSON leaves out what is undefined.
    const parsed = parsePolicy(JSON.parse(policyJson))
    if (!parsed.ok) throw new Error(`${this.node.path}: ${parsed.problems.join('; ')}`)
    return input === INCIDENT ? INCIDENT : policyJson
  }
}

/** PutMetricData knows no resources; the condition holds it to one namespace. */
function putMetricData(namespace: string): PolicyStatement {
  return new PolicyStatement({
    actions: ['cloudwatch:PutMetricData'],
    resources: ['*'],
    conditions: { StringEquals: { 'cloudwatch:namespace': namespace } },
  })
}

/** A variable that is not set has its default in the function. */
function withoutAbsent(variables: Record<string, string | undefined>): Record<string, string> {
  const set = Object.entries(variables).filter(
    (variable): variable is [string, string] => variable[1] !== undefined,
  )
  return Object.fromEntries(set)
}
