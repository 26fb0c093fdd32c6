import { CustomResource, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import { Provider } from 'aws-cdk-lib/custom-resources'
import { Construct } from 'constructs'
import { provisionCode } from './assets.ts'
import { readAuthorities } from './authorities.ts'
import type { ServerBound } from './bounds.ts'
import { BundledFunction } from './function.ts'
import type { Placement } from './network.ts'

export interface ReaperRoleProps extends Placement {
  /**
   * The secret of a role that may create roles, such as the master user.
   * @example database.secret
   */
  readonly adminSecret: ISecret
  /**
   * The KMS key that encrypts this secret, if it is a customer managed key.
   * @example Key.fromKeyArn(this, 'Key', arn)
   */
  readonly adminEncryptionKey?: IKey
  /**
   * The server's endpoint. For a cluster, the writer's endpoint.
   * @example database.clusterEndpoint.hostname
   */
  readonly host: string
  /**
   * The server's port.
   * @example '5432'
   */
  readonly port: string
  /**
   * The reaper's secret. The role gets its name and password from it. Give either `secret` or `iamUser`.
   * @example Secret.fromSecretNameV2(this, 'Secret', 'shop/slotkeeper')
   */
  readonly secret?: ISecret
  /**
   * The KMS key that encrypts the reaper's secret, if it is a customer managed key.
   * @example Key.fromKeyArn(this, 'Key', arn)
   */
  readonly encryptionKey?: IKey
  /**
   * The name of the role, if it logs in with IAM tokens. Give either `secret` or `iamUser`.
   * @example 'slotkeeper'
   */
  readonly iamUser?: string
  /**
   * The database that the sweep connects to.
   * @example 'shop'
   * @default - `dbname` in the secret, or else `postgres`
   */
  readonly databaseName?: string
  /**
   * A file with certificate authorities in PEM form. The function trusts them in addition to the RDS
   * authorities in this package.
   * @example 'certificates/rds-il-central-1.pem'
   * @default - none
   */
  readonly certificateAuthorities?: string | undefined
  /**
   * Limits that the server itself keeps for roles of applications. They are set and taken back with the stack.
   * @example [{ user: 'shop_app', idleSessionTimeout: '1h', connectionLimit: 60 }]
   * @default - none
   */
  readonly bounds?: readonly ServerBound[] | undefined
}

/**
 * Creates the role with the least privileges in the database when the stack is deployed. CloudFormation is
 * answered by the framework's function, which runs outside of the VPC, so a subnet without a way out
 * can't hang a deployment.
 */
export class ReaperRole extends Construct {
  constructor(scope: Construct, id: string, props: ReaperRoleProps) {
    super(scope, id)
    const { adminSecret, adminEncryptionKey, secret, encryptionKey, iamUser, host, port } = props
    const { vpc, vpcSubnets, securityGroups, certificateAuthorities } = props
    const provision = new BundledFunction(this, 'Provision', {
      description: 'Creates the database role of Slotkeeper',
      code: provisionCode(certificateAuthorities && readAuthorities(certificateAuthorities)),
      timeout: Duration.minutes(1),
      vpc,
      vpcSubnets,
      securityGroups,
    })
    adminSecret.grantRead(provision.role)
    adminEncryptionKey?.grantDecrypt(provision.role)
    secret?.grantRead(provision.role)
    encryptionKey?.grantDecrypt(provision.role)
    const provider = new Provider(this, 'Provider', {
      onEventHandler: provision.function,
      logGroup: new LogGroup(this, 'Log', {
        retention: RetentionDays.ONE_MONTH,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
    })
    const functionId = Stack.of(this).getLogicalId(
      provision.function.node.defaultChild as CfnFunction,
    )
    const reason = "the CDK's own provider framework, which may call only this function"
    Validations.of(provider).acknowledge(
      {
        id: 'AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]',
        reason,
      },
      { id: `AwsSolutions::AwsSolutions-IAM5[Resource::<${functionId}.Arn>:*]`, reason },
    )
    new CustomResource(this, 'Resource', {
      resourceType: 'Custom::SlotkeeperRole',
      serviceToken: provider.serviceToken,
      properties: {
        adminSecret: adminSecret.secretArn,
        host,
        port,
        secret: secret?.secretArn,
        iamUser,
        database: props.databaseName,
        // As text, because CloudFormation makes text of every number.
        bounds: props.bounds && Stack.of(this).toJsonString(props.bounds),
      },
    })
  }
}
