import { Duration } from 'aws-cdk-lib'
import type { Dashboard } from 'aws-cdk-lib/aws-cloudwatch'
import type { Connections, IConnectable } from 'aws-cdk-lib/aws-ec2'
import { type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Architecture, type IFunction } from 'aws-cdk-lib/aws-lambda'
import type { ILogGroup } from 'aws-cdk-lib/aws-logs'
import { Construct, type IDependable } from 'constructs'
import type { AlarmsByName } from './alarm-options.ts'
import { ReaperAlarms, TargetMetrics } from './alarms.ts'
import { sweepCode } from './assets.ts'
import { readAuthorities } from './authorities.ts'
import { refusal } from './checked.ts'
import { ReaperDashboard } from './dashboard.ts'
import { addressOf, admit, grantConnect, isWholeCluster } from './database.ts'
import { BundledFunction } from './function.ts'
import { MEMORY_MB, TIMEOUT_SECONDS } from './limits.ts'
import { PrivateEndpoints } from './network.ts'
import { propProblems } from './prop-problems.ts'
import type { Auth, IamAuth, SecretAuth, SessionReaperProps } from './props.ts'
import { ReaperRole } from './role.ts'
import { NO_BACKLOG, SweepSchedule } from './schedule.ts'
import { nameProblems, warnOfSecondSweep } from './second-sweep.ts'

/**
 * Sweeps one PostgreSQL server, or every instance of an Aurora cluster, every minute: a Lambda function with its schedule, alarms and a dashboard.
 * @example
 * new SessionReaper(this, 'shop', { database, vpc, auth: { secret }, mode: 'observe' })
 */
export class SessionReaper extends Construct implements IConnectable {
  /** The function that sweeps the server. */
  readonly function: IFunction
  /** The IAM role of the function. */
  readonly role: IRole
  /** The log group of the function. */
  readonly logGroup: ILogGroup
  /** The metrics of the target, for your own alarms and dashboards. */
  readonly metrics: TargetMetrics
  /**
   * The alarms by name, without those that were left out.
   * @example reaper.alarms.Silent?.addAlarmAction(new SnsAction(pager))
   */
  readonly alarms: AlarmsByName
  /** The dashboard, unless it was left out. */
  readonly dashboard?: Dashboard
  /** The function's security groups, for your own rules. */
  readonly connections: Connections

  /** @throws Error that names each invalid property: synthesis fails, and nothing is deployed */
  constructor(scope: Construct, id: string, props: SessionReaperProps) {
    super(scope, id)
    const { namespace = 'Slotkeeper', metricSet = 'full', target = id } = props ?? {}
    this.check({ ...props, target })
    this.metrics = new TargetMetrics(namespace, target, metricSet)
    const sweep = this.addFunction(props, namespace)
    this.function = sweep.function
    this.role = sweep.role
    this.logGroup = sweep.logGroup
    this.connections = sweep.connections
    this.permit(sweep.role, props, namespace)
    const ways = this.connect(sweep, props)
    const schedule = new SweepSchedule(this, 'Schedule', sweep.function, props.every)
    // The schedule starts only when a sweep can succeed.
    schedule.node.addDependency(...ways)
    this.alarms = this.addAlarms(props)
    const { database, endpoint } = props
    if (props.dashboard !== false) {
      const { metrics, logGroup } = this
      const alarms = Object.values(this.alarms)
      const { mode } = props
      const cluster = isWholeCluster(database, endpoint)
      const shown = { metrics, alarms, logGroup, sweep: sweep.function, mode, cluster }
      this.dashboard = new ReaperDashboard(this, 'Dashboard', shown).page
    }
    warnOfSecondSweep(this, database, endpoint)
  }

  private addFunction(props: SessionReaperProps, namespace: string): BundledFunction {
    const { vpc, vpcSubnets, securityGroups, metricSet, certificateAuthorities } = props
    const { host, port } = addressOf(props.database, props.endpoint)
    const cluster = isWholeCluster(props.database, props.endpoint)
    const { code, policy } = sweepCode(
      policyText(props.policy),
      certificateAuthorities && readAuthorities(certificateAuthorities),
    )
    const { secret, iamUser } = waysIn(props.auth)
    const environment = withoutAbsent({
      SLOTKEEPER_TARGET: this.metrics.target,
      SLOTKEEPER_MODE: props.mode,
      // Not set without a policy, so that the function knows that none was given, and says so.
      SLOTKEEPER_POLICY: props.policy === undefined ? undefined : policy,
      SLOTKEEPER_HOST: host,
      SLOTKEEPER_PORT: port,
      SLOTKEEPER_CLUSTER: cluster ? 'aurora' : undefined,
      SLOTKEEPER_AUTO_PAUSE: props.autoPause ? 'on' : undefined,
      SLOTKEEPER_DATABASE: props.databaseName,
      SLOTKEEPER_SECRET_ARN: secret?.secretArn,
      SLOTKEEPER_AUTH: iamUser === undefined ? undefined : 'iam',
      SLOTKEEPER_USER: iamUser,
      SLOTKEEPER_METRICS: props.metrics,
      SLOTKEEPER_METRIC_SET: metricSet,
      SLOTKEEPER_NAMESPACE: namespace,
      SLOTKEEPER_RECORD: (props.record ?? props.mode === 'observe') ? 'on' : undefined,
    })
    return new BundledFunction(this, 'Sweep', {
      description: `Slotkeeper sweeps ${this.metrics.target}`,
      code,
      timeout: Duration.seconds(TIMEOUT_SECONDS),
      role: props.role,
      logGroup: props.logGroup,
      logRetention: props.logRetention,
      logEncryptionKey: props.logEncryptionKey,
      vpc,
      vpcSubnets,
      securityGroups,
      options: {
        memorySize: props.memorySize ?? MEMORY_MB,
        architecture: props.architecture ?? Architecture.ARM_64,
        environment,
        ...NO_BACKLOG,
        reservedConcurrentExecutions: props.reserveConcurrency === false ? undefined : 1,
      },
    })
  }

  private permit(role: IRole, props: SessionReaperProps, namespace: string) {
    const { auth, database, metrics, autoPause } = props
    if (metrics !== 'emf') role.addToPrincipalPolicy(putMetricData(namespace))
    if (autoPause) role.addToPrincipalPolicy(getMetricData())
    const { secret, encryptionKey, iamUser } = waysIn(auth)
    secret?.grantRead(role)
    encryptionKey?.grantDecrypt(role)
    if (iamUser !== undefined) grantConnect(this, database, role, iamUser)
  }

  /**
   * Opens the network paths to the database and, if asked for, to the AWS APIs, and creates the role.
   * @returns what must exist before a sweep can succeed
   */
  private connect(sweep: BundledFunction, props: SessionReaperProps): IDependable[] {
    const { auth, database, vpc, vpcSubnets } = props
    // The address of a new server is known before the server accepts connections.
    const ways: IDependable[] = 'host' in database ? [] : [database]
    if (vpc) ways.push(...admit(database, sweep))
    if (vpc && props.createEndpoints) {
      const services: ('secretsmanager' | 'monitoring')[] = []
      // The administrator's secret is read even if the sweep itself logs in by IAM.
      if (waysIn(auth).secret || props.createRole) services.push('secretsmanager')
      if (props.metrics !== 'emf' || props.autoPause) services.push('monitoring')
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
        ...waysIn(auth),
        certificateAuthorities: props.certificateAuthorities,
        // For a cluster, the writer: no other instance can create a role.
        ...addressOf(database),
        databaseName: props.databaseName,
        bounds: props.bounds,
        ...sweep.placement,
      })
      role.node.addDependency(...ways)
      ways.push(role)
    }
    return ways
  }

  private addAlarms({ alarms, mode, database, endpoint }: SessionReaperProps): AlarmsByName {
    if (alarms === false) return {}
    const { metrics, function: sweep } = this
    const cluster = isWholeCluster(database, endpoint)
    return new ReaperAlarms(this, 'Alarms', { ...alarms, metrics, sweep, mode, cluster }).byName
  }

  private check(props: SessionReaperProps): void {
    const { path } = this.node
    const problems = [...propProblems(this, props), ...nameProblems(this, props)]
    if (problems.length === 0) return
    throw refusal(
      path,
      problems.map((problem) => `${path}: ${problem}`),
    )
  }
}

/** Both ways to log in as one type. Only one of them is given. */
function waysIn(auth: Auth): Partial<SecretAuth & IamAuth> {
  return auth
}

/** PutMetricData does not support resources. The condition limits it to one namespace. */
function putMetricData(namespace: string): PolicyStatement {
  return new PolicyStatement({
    actions: ['cloudwatch:PutMetricData'],
    resources: ['*'],
    conditions: { StringEquals: { 'cloudwatch:namespace': namespace } },
  })
}

/** GetMetricData supports neither resources nor conditions. */
function getMetricData(): PolicyStatement {
  return new PolicyStatement({ actions: ['cloudwatch:GetMetricData'], resources: ['*'] })
}

/** The policy for the function's variable: JSON, or the name of a policy as it is. */
function policyText(policy: SessionReaperProps['policy']): string {
  return typeof policy === 'string' ? policy : JSON.stringify(policy ?? {})
}

/** Leaves out the variables without a value. The function then uses its defaults. */
function withoutAbsent(variables: Record<string, string | undefined>): Record<string, string> {
  const set = Object.entries(variables).filter(
    (variable): variable is [string, string] => variable[1] !== undefined,
  )
  return Object.fromEntries(set)
}
