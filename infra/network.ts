import {
  type IConnectable,
  InterfaceVpcEndpoint,
  InterfaceVpcEndpointAwsService,
  type ISecurityGroup,
  type IVpc,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'

/**
 * Where a function runs.
 * @example { vpc, vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED } }
 */
export interface Placement {
  /**
   * The VPC of the database.
   * @example Vpc.fromLookup(this, 'Vpc', { vpcName: 'main' })
   * @default - outside of any VPC
   */
  readonly vpc?: IVpc
  /**
   * The subnets of the function.
   * @example { subnetType: SubnetType.PRIVATE_ISOLATED }
   * @default - the private subnets
   */
  readonly vpcSubnets?: SubnetSelection
  /**
   * The security groups of the function.
   * @example [SecurityGroup.fromSecurityGroupId(this, 'Group', 'sg-0a1b2c3d')]
   * @default - one of its own
   */
  readonly securityGroups?: ISecurityGroup[]
}

export interface PrivateEndpointsProps {
  /**
   * Where they stand.
   * @example vpc
   */
  readonly vpc: IVpc
  /**
   * Which subnets they stand in.
   * @example { subnetType: SubnetType.PRIVATE_ISOLATED }
   */
  readonly subnets?: SubnetSelection
  /**
   * Who may use them.
   * @example reaper
   */
  readonly from: IConnectable
  /**
   * `secretsmanager` for auth by secret, `monitoring` for metrics by PutMetricData.
   * @example ['monitoring']
   */
  readonly services: ('secretsmanager' | 'monitoring')[]
}

/** The way to the AWS APIs from a subnet without a NAT gateway: one of each service in a VPC. */
export class PrivateEndpoints extends Construct {
  constructor(scope: Construct, id: string, props: PrivateEndpointsProps) {
    super(scope, id)
    for (const name of props.services) {
      const endpoint = new InterfaceVpcEndpoint(this, name, {
        vpc: props.vpc,
        service: new InterfaceVpcEndpointAwsService(name),
        // Only for whom it is made, not for the whole VPC.
        open: false,
        subnets: props.subnets,
      })
      endpoint.connections.allowDefaultPortFrom(props.from, 'Slotkeeper')
    }
  }
}

/** Lambda makes the interfaces with the function's own permissions, before it knows their names. */
export function networkInterfaces(): PolicyStatement {
  return new PolicyStatement({
    actions: [
      'ec2:CreateNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:DeleteNetworkInterface',
      'ec2:AssignPrivateIpAddresses',
      'ec2:UnassignPrivateIpAddresses',
    ],
    resources: ['*'],
  })
}
