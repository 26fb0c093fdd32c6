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
   * The VPC in which the function runs: the VPC of the database.
   * @example Vpc.fromLookup(this, 'Vpc', { vpcName: 'main' })
   * @default - the function runs outside of any VPC
   */
  readonly vpc?: IVpc
  /**
   * The subnets in which the function runs.
   * @example { subnetType: SubnetType.PRIVATE_ISOLATED }
   * @default - the private subnets
   */
  readonly vpcSubnets?: SubnetSelection
  /**
   * The security groups of the function.
   * @example [SecurityGroup.fromSecurityGroupId(this, 'Group', 'sg-0a1b2c3d')]
   * @default - a new security group
   */
  readonly securityGroups?: ISecurityGroup[]
}

export interface PrivateEndpointsProps {
  /**
   * The VPC of the endpoints.
   * @example vpc
   */
  readonly vpc: IVpc
  /**
   * The subnets of the endpoints.
   * @example { subnetType: SubnetType.PRIVATE_ISOLATED }
   */
  readonly subnets?: SubnetSelection
  /**
   * What may use the endpoints.
   * @example reaper
   */
  readonly from: IConnectable
  /**
   * The AWS services: `secretsmanager` if the function reads a secret, `monitoring` if it calls
   * PutMetricData.
   * @example ['monitoring']
   */
  readonly services: ('secretsmanager' | 'monitoring')[]
}

/**
 * Interface endpoints, by which a subnet without a NAT gateway reaches the AWS APIs. A VPC can have only
 * one endpoint with private DNS for each service.
 */
export class PrivateEndpoints extends Construct {
  constructor(scope: Construct, id: string, props: PrivateEndpointsProps) {
    super(scope, id)
    for (const name of props.services) {
      const endpoint = new InterfaceVpcEndpoint(this, name, {
        vpc: props.vpc,
        service: new InterfaceVpcEndpointAwsService(name),
        // Only `from` may use the endpoint, not the whole VPC.
        open: false,
        subnets: props.subnets,
      })
      endpoint.connections.allowDefaultPortFrom(props.from, 'Slotkeeper')
    }
  }
}

/**
 * Lambda creates the interfaces with the function's own permissions. Their names are not known before, so
 * the permission can't name them.
 */
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
