import { Annotations, ArnFormat, CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import { SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2'
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { type CfnSubscription, type ITopic, type Subscription, Topic } from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'
import type { Construct } from 'constructs'
import { settingsOf } from './alarm-settings.ts'
import { isComplete } from './arns.ts'
import type { ServerBound } from './bounds.ts'
import type { Context, Target } from './context.ts'
import { OverviewDashboard } from './dashboard.ts'
import type { Placement } from './network.ts'
import type { Auth } from './props.ts'
import { SessionReaper } from './session-reaper.ts'

/**
 * Adds one stack for each target, named after it, so that adding a target changes no other stack, and no
 * number of targets reaches the limit of 500 resources in a stack. One more stack has what they share.
 */
export function addStacks(
  app: Construct,
  { targets, email, dashboards, alarms }: Context,
): SessionReaper[] {
  const shared = new Stack(app, 'Slotkeeper', { description: 'Slotkeeper: what all targets share' })
  const topic = new Topic(shared, 'Alarms', { enforceSSL: true })
  topic.addToResourcePolicy(publishFromAlarms(topic))
  if (email) tellNews(topic.addSubscription(new EmailSubscription(email)))
  const reapers = targets.map((target) => addTarget(app, target, topic, dashboards, alarms))
  if (dashboards && targets.length > 1) {
    const metrics = reapers.map((reaper) => reaper.metrics)
    new OverviewDashboard(shared, 'Overview', metrics)
  }
  return reapers
}

/**
 * Suppresses the mail that each new alarm sends when it first becomes OK. SNS filters by the message that
 * CloudWatch writes.
 * @see https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html
 */
function tellNews(subscription: Subscription): void {
  const resource = subscription.node.defaultChild as CfnSubscription
  resource.filterPolicyScope = 'MessageBody'
  resource.filterPolicy = { $or: [{ NewStateValue: ['ALARM'] }, { OldStateValue: ['ALARM'] }] }
}

/** A topic with its own policy loses the default policy, which allows alarms to publish. This restores it. */
function publishFromAlarms(topic: Topic): PolicyStatement {
  const alarms = Stack.of(topic).formatArn({
    service: 'cloudwatch',
    resource: 'alarm',
    resourceName: '*',
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  })
  return new PolicyStatement({
    sid: 'AllowPublishFromAlarms',
    principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
    actions: ['sns:Publish'],
    resources: [topic.topicArn],
    conditions: { ArnLike: { 'aws:SourceArn': alarms } },
  })
}

function addTarget(
  app: Construct,
  target: Target,
  topic: ITopic,
  dashboard: boolean,
  alarms: Context['alarms'],
): SessionReaper {
  const { name, host, port, resourceId, database, mode, policy, metrics, metricSet, everySeconds } =
    target
  const { cluster, autoPause } = target
  const stack = new Stack(app, `Slotkeeper-${name}`, { description: `Slotkeeper: ${name}` })
  const reaper = new SessionReaper(stack, 'Reaper', {
    target: name,
    database: { host, port, resourceId, cluster },
    autoPause,
    databaseName: database,
    auth: authOf(stack, target),
    certificateAuthorities: target.caFile,
    mode,
    policy,
    metrics,
    metricSet,
    record: target.record,
    every: everySeconds === undefined ? undefined : Duration.seconds(everySeconds),
    alarms: { ...settingsOf(alarms, target.alarms), topic },
    dashboard,
    reserveConcurrency: target.reserveConcurrency,
    createRole: createRoleOf(stack, target),
    bounds: target.bounds as ServerBound[] | undefined,
    ...placementOf(stack, target),
  })
  addOutputs(stack, reaper)
  return reaper
}

/** The outputs that an operator needs first, with the names that the console and the AWS CLI accept. */
function addOutputs(stack: Stack, reaper: SessionReaper): void {
  const { function: sweep, logGroup, dashboard } = reaper
  new CfnOutput(stack, 'FunctionName', { value: sweep.functionName })
  new CfnOutput(stack, 'LogGroupName', { value: logGroup.logGroupName })
  if (dashboard) new CfnOutput(stack, 'DashboardName', { value: dashboard.dashboardName })
}

function authOf(stack: Stack, { secretArn, secretKeyArn, iamUser = '' }: Target): Auth {
  if (secretArn === undefined) return { iamUser }
  return {
    secret: secretOf(stack, 'Secret', secretArn),
    encryptionKey: keyOf(stack, 'SecretKey', secretKeyArn),
  }
}

function createRoleOf(stack: Stack, { adminSecretArn, adminSecretKeyArn }: Target) {
  if (adminSecretArn === undefined) return undefined
  return {
    adminSecret: secretOf(stack, 'Admin', adminSecretArn),
    adminEncryptionKey: keyOf(stack, 'AdminKey', adminSecretKeyArn),
  }
}

/** An ARN without its suffix identifies a secret by its name, so the permission allows any suffix. */
function secretOf(stack: Stack, id: string, arn: string) {
  return isComplete(arn)
    ? Secret.fromSecretCompleteArn(stack, id, arn)
    : Secret.fromSecretPartialArn(stack, id, arn)
}

function keyOf(stack: Stack, id: string, keyArn: string | undefined) {
  return keyArn === undefined ? undefined : Key.fromKeyArn(stack, id, keyArn)
}

/** Uses only the context: a lookup would need access to the account during synthesis. */
function placementOf(stack: Stack, { network }: Target): Placement {
  if (!network) return {}
  const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
    vpcId: network.vpcId,
    availabilityZones: network.subnets.map(({ availabilityZone }) => availabilityZone),
    privateSubnetIds: network.subnets.map(({ id }) => id),
  })
  // Nothing here uses a route table.
  Annotations.of(vpc).acknowledgeWarning('@aws-cdk/aws-ec2:noSubnetRouteTableId')
  return {
    vpc,
    securityGroups: [
      SecurityGroup.fromSecurityGroupId(stack, 'SecurityGroup', network.securityGroupId),
    ],
  }
}
