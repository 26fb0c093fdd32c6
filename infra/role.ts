import { CustomResource, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import { Provider } from 'aws-cdk-lib/custom-resources'
import { Construct } from 'constructs'
import { provisionCode } from './assets.ts'
import { readAuthorities } from './authorities.ts'
import { BundledFunction } from './function.ts'
import type { Placement } from './network.ts'

export interface ReaperRoleProps extends Placement {
  /**
   * Of a role that may make roles: the master user, for example.
   * @example database.secret
   */
  readonly adminSecret: ISecret
  /**
   * Where that secret is not encrypted with AWS's own key.
   * @example Key.fromKeyArn(this, 'Key', arn)
   */
  readonly adminEncryptionKey?: IKey
  /**
   * The server's endpoint; of a cluster, the writer's.
   * @example database.clusterEndpoint.hostname
   */
  readonly host: string
  /**
   * The server's port.
   * @example '5432'
   */
  readonly port: string
  /**
   * The reaper's: the role takes name and password from it.
   * @example Secret.fromSecretNameV2(this, 'Secret', 'shop/slotkeeper')
   */
  readonly secret?: ISecret
  /**
   * Where that secret is not encrypted with AWS's own key.
   * @example Key.fromKeyArn(this, 'Key', arn)
   */
  readonly encryptionKey?: IKey
  /**
   * Or the role that logs in with IAM tokens.
   * @example 'slotkeeper'
   */
  readonly iamUser?: string
  /**
   * That the sweep logs in to.
   * @example 'shop'
   * @default - the secret's, or `postgres`
   */
  readonly databaseName?: string
  /**
   * A file of certificate authorities in PEM form, trusted beside those of RDS that the package has.
   * @example 'certificates/rds-il-central-1.pem'
   * @default - none
   */
  readonly certificateAuthorities?: string | undefined
}

/**
 * Makes the least role in the database when the stack is deployed. The framework's function answers
 * CloudFormation from outside of the VPC, so that a subnet without a way out can't hang a deployment.
 */
export class ReaperRole extends Construct {
  constructor(scope: Construct, id: string, props: ReaperRoleProps) {
    super(scope, id)
    const { adminSecret, adminEncryptionKey, secret, encryptionKey, iamUser, host, port } = props
    const { vpc, vpcSubnets, securityGroups, certificateAuthorities } = props
    const provision = new BundledFunction(this, 'Provision', {
      description: 'Makes the database role of Slotkeeper',
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
    const reason = "the CDK's own provider framework, which may call this one function"
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
      },
    })
  }
}
