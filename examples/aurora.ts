// An Aurora cluster. Each instance has its own slots, so each instance gets a reaper with its endpoint. A
// reaper without an endpoint follows the writer. Do not add one here: the writer would be swept twice.

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
const database = new DatabaseCluster(stack, 'Database', {
  engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_16_6 }),
  writer: ClusterInstance.provisioned('a'),
  storageEncrypted: true,
  readers: [ClusterInstance.provisioned('b'), ClusterInstance.provisioned('c')],
  vpc,
})

const secret = new Secret(stack, 'ReaperSecret', {
  generateSecretString: {
    secretStringTemplate: '{"username":"slotkeeper"}',
    generateStringKey: 'password',
    excludePunctuation: true,
  },
})

for (const [index, endpoint] of database.instanceEndpoints.entries()) {
  new SessionReaper(stack, `Reaper${index}`, {
    target: `orders-${index}`,
    database,
    endpoint,
    vpc,
    auth: { secret },
    // All instances share their roles, so only one reaper creates the role. It is created at the writer.
    createRole: index === 0 && database.secret ? { adminSecret: database.secret } : undefined,
    mode: 'observe',
    policy: { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] },
  })
}
