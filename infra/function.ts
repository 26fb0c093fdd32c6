import { ArnFormat, type Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import { Connections, type IConnectable, SecurityGroup } from 'aws-cdk-lib/aws-ec2'
import { type IRole, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import {
  Architecture,
  type Code,
  type FunctionOptions,
  Function as LambdaFunction,
  LoggingFormat,
  Runtime,
} from 'aws-cdk-lib/aws-lambda'
import { type ILogGroup, LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Construct, type IConstruct } from 'constructs'
import { networkInterfaces, type Placement } from './network.ts'

export interface BundledFunctionProps extends Placement {
  readonly description: string
  readonly code: Code
  readonly timeout: Duration
  /** @default - a new role */
  readonly role?: IRole
  /** @default - a new log group, with `logRetention` and `logEncryptionKey` */
  readonly logGroup?: ILogGroup
  readonly logRetention?: RetentionDays
  readonly logEncryptionKey?: IKey
  readonly options?: FunctionOptions
}

/**
 * A function from a bundle of this package. Its role may write to the function's own log group only, and
 * in a VPC may create network interfaces. AWS's managed policies for that allow every log group.
 */
export class BundledFunction extends Construct implements IConnectable {
  readonly function: LambdaFunction
  readonly role: IRole
  readonly logGroup: ILogGroup
  readonly connections: Connections
  readonly placement: Placement

  constructor(scope: Construct, id: string, props: BundledFunctionProps) {
    super(scope, id)
    const { vpc, vpcSubnets } = props
    this.logGroup = props.logGroup ?? this.addLogGroup(props)
    this.role =
      props.role ??
      new Role(this, 'ExecutionRole', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') })
    this.logGroup.grantWrite(this.role)
    Validations.of(this.role).acknowledge({
      id: 'AwsSolutions::AwsSolutions-IAM5[Resource::*]',
      reason:
        'PutMetricData, GetMetricData and the network interface calls do not support resources; a condition limits the namespace of PutMetricData',
    })
    if (vpc) this.role.addToPrincipalPolicy(networkInterfaces())
    const securityGroups =
      props.securityGroups ?? (vpc && [new SecurityGroup(this, 'SecurityGroup', { vpc })])
    this.connections = new Connections({ securityGroups })
    this.placement = { vpc, vpcSubnets, securityGroups }
    this.function = new LambdaFunction(this, 'Function', {
      description: props.description,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      timeout: props.timeout,
      handler: 'index.handler',
      code: props.code,
      role: this.role,
      logGroup: this.logGroup,
      loggingFormat: LoggingFormat.JSON,
      ...this.placement,
      ...props.options,
    })
    // The permissions must exist before the function first runs, and until after it last runs.
    this.function.node.addDependency(this.role)
  }
  private addLogGroup({ logRetention, logEncryptionKey }: BundledFunctionProps): LogGroup {
    if (logEncryptionKey) allowLogs(this, logEncryptionKey)
    return new LogGroup(this, 'Log', {
      retention: logRetention ?? RetentionDays.ONE_MONTH,
      encryptionKey: logEncryptionKey,
      removalPolicy: RemovalPolicy.DESTROY,
    })
  }
}

/**
 * Allows CloudWatch Logs to use a key, for all log groups of this account and region. The permission can't
 * name one group: the group's name is known only after the group exists, and the group can only be
 * created once the key allows it.
 * Source: "Encrypt log data in CloudWatch Logs using AWS KMS".
 */
function allowLogs(scope: IConstruct, key: IKey): void {
  const stack = Stack.of(scope)
  const groups = stack.formatArn({
    service: 'logs',
    resource: 'log-group',
    resourceName: '*',
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  })
  key.grantEncryptDecrypt(
    new ServicePrincipal(`logs.${stack.region}.amazonaws.com`, {
      conditions: { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': groups } },
    }),
  )
}
