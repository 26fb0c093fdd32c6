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

/** Where a function runs. */
export interface Placement {
  /** @default - outside of any VPC */
  readonly vpc?: IVpc
  /** @default - the private subnets */
  readonly vpcSubnets?: SubnetSelection
  /** @default - one of its own */
  readonly securityGroups?: ISecurityGroup[]
}

export interface PrivateEndpointsProps {
  readonly vpc: IVpc
  readonly subnets?: SubnetSelection
  /** Who may use them. */
  readonly from: IConnectable
  /** `secretsmanager` for auth by secret, `monitoring` for metrics by PutMetricData. */
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
