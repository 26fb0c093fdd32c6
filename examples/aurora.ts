// Two Aurora clusters. One reaper sweeps every instance of a cluster, also those that join it later. The second
// cluster is Aurora Serverless and pauses at night, and its reaper lets it.

import { App, Stack } from 'aws-cdk-lib'
import { Vpc } from 'aws-cdk-lib/aws-ec2'
import {
  AuroraPostgresEngineVersion,
  ClusterInstance,
  DatabaseCluster,
  DatabaseClusterEngine,
} from 'aws-cdk-lib/aws-rds'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { SessionReaper } from 'slotkeeper'

const app = new App()
const stack = new Stack(app, 'Orders')

const vpc = new Vpc(stack, 'Vpc')
const engine = DatabaseClusterEngine.auroraPostgres({
  version: AuroraPostgresEngineVersion.VER_16_6,
})

const orders = new DatabaseCluster(stack, 'Database', {
  engine,
  writer: ClusterInstance.provisioned('a'),
  storageEncrypted: true,
  readers: [ClusterInstance.provisioned('b'), ClusterInstance.provisioned('c')],
  vpc,
})
const trials = new DatabaseCluster(stack, 'Trials', {
  engine,
  writer: ClusterInstance.serverlessV2('a'),
  serverlessV2MinCapacity: 0,
  storageEncrypted: true,
  vpc,
})

for (const [target, database, autoPause] of [
  ['orders', orders, false],
  ['trials', trials, true],
] as const) {
  const secret = new Secret(stack, `${target}ReaperSecret`, {
    generateSecretString: {
      secretStringTemplate: '{"username":"slotkeeper"}',
      generateStringKey: 'password',
      excludePunctuation: true,
    },
  })
  new SessionReaper(stack, `${target}Reaper`, {
    target,
    database,
    autoPause,
    vpc,
    auth: { secret },
    // All instances share their roles, so the role is created once, at the writer.
    createRole: database.secret && { adminSecret: database.secret },
    mode: 'observe',
    policy: { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] },
  })
}
