import { type Duration, RemovalPolicy, Validations } from 'aws-cdk-lib'
import { Connections, type IConnectable, SecurityGroup } from 'aws-cdk-lib/aws-ec2'
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import {
  Architecture,
  type Code,
  type FunctionOptions,
  Function as LambdaFunction,
  LoggingFormat,
  Runtime,
} from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import { networkInterfaces, type Placement } from './network.ts'

export interface BundledFunctionProps extends Placement {
  readonly description: string
  readonly code: Code
  readonly timeout: Duration
  readonly logRetention?: RetentionDays
  readonly options?: FunctionOptions
}

/**
 * A function from a bundle of this package, whose role may write to the function's own log group and,
 * in a VPC, make its network interfaces: the managed policies for that allow every log group.
 */
export class BundledFunction extends Construct implements IConnectable {
  readonly function: LambdaFunction
  readonly role: Role
  readonly logGroup: LogGroup
  readonly connections: Connections
  readonly placement: Placement

  constructor(scope: Construct, id: string, props: BundledFunctionProps) {
    super(scope, id)
    const { vpc, vpcSubnets } = props
    this.logGroup = new LogGroup(this, 'Log', {
      retention: props.logRetention ?? RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    this.role = new Role(this, 'ExecutionRole', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
    })
    this.logGroup.grantWrite(this.role)
    Validations.of(this.role).acknowledge({
      id: 'AwsSolutions::AwsSolutions-IAM5[Resource::*]',
      reason:
        'PutMetricData and the network interface calls know no resource; the namespace is a condition',
    })
    if (vpc) this.role.addToPolicy(networkInterfaces())
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
    // Its permissions stand before it first runs, and go after it has last run.
    this.function.node.addDependency(this.role)
  }
}
