import { App, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import type { IVpc } from 'aws-cdk-lib/aws-ec2'
import {
  AuroraPostgresEngineVersion,
  ClusterInstance,
  DatabaseCluster,
  DatabaseClusterEngine,
} from 'aws-cdk-lib/aws-rds'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { expect } from 'vitest'
import { SessionReaper, type SessionReaperProps } from '../../infra/index.ts'

export const SECRET_ARN = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:reaper-AbCdEf'

export const newStack = () =>
  new Stack(new App(), 'Test', { env: { account: '111122223333', region: 'eu-central-1' } })

export const secretOf = (stack: Stack) =>
  Secret.fromSecretAttributes(stack, 'Secret', { secretCompleteArn: SECRET_ARN })

/** An Aurora cluster with a writer and the named readers. */
export const auroraCluster = (stack: Stack, vpc: IVpc, ...readers: string[]) =>
  new DatabaseCluster(stack, 'Db', {
    engine: DatabaseClusterEngine.auroraPostgres({
      version: AuroraPostgresEngineVersion.VER_16_6,
    }),
    writer: ClusterInstance.serverlessV2('writer'),
    readers: readers.map((reader) => ClusterInstance.serverlessV2(reader)),
    vpc,
  })

/** One target by its address; a test says what is different. */
export function reaper(different: Partial<SessionReaperProps> = {}, stack = newStack()) {
  const auth = different.auth ?? { secret: secretOf(stack) }
  const construct = new SessionReaper(stack, 'Shop', {
    database: { host: 'shop.abc.eu-central-1.rds.amazonaws.com' },
    mode: 'reap',
    policy: 'incident',
    ...different,
    auth,
  })
  return { stack, construct, template: Template.fromStack(stack) }
}

export const rules = [{ name: 'stale', state: 'idle', olderThan: '15m' } as const]

export const has = (template: Template, type: string, properties: object) =>
  expect(() => template.hasResourceProperties(type, properties)).not.toThrow()

/** The variables of the sweep's function, without the intrinsic functions of CloudFormation. */
export function environmentOf(template: Template): Record<string, string> {
  const [found] = Object.values(
    template.findResources('AWS::Lambda::Function', { Properties: { MemorySize: 256 } }),
  )
  const variables = found?.Properties.Environment.Variables as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : '5432',
    ]),
  )
}

export const statements = (template: Template) =>
  Object.values(template.findResources('AWS::IAM::Policy')).flatMap(
    ({ Properties }) => Properties.PolicyDocument.Statement,
  )
