// One RDS instance, which is swept every minute from inside its VPC. The deployment creates the database role.
// Begin in mode `observe`, read the log for a day, then set `reap`.

import { App, CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import { SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2'
import {
  DatabaseInstance,
  DatabaseInstanceEngine,
  ParameterGroup,
  PostgresEngineVersion,
} from 'aws-cdk-lib/aws-rds'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { connectionParameters, SessionReaper } from 'slotkeeper'

const app = new App()
const stack = new Stack(app, 'Shop')

const vpc = new Vpc(stack, 'Vpc')
const engine = DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 })
const database = new DatabaseInstance(stack, 'Database', {
  engine,
  vpc,
  storageEncrypted: true,
  vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
  // The server itself ends sessions that are idle in a transaction, even if no sweep runs.
  parameterGroup: new ParameterGroup(stack, 'Parameters', {
    engine,
    parameters: connectionParameters({
      idleInTransactionSessionTimeout: Duration.minutes(10),
      // This applies to every role, and to listeners too. Use a longer time than any pool keeps an unused connection.
      idleSessionTimeout: Duration.hours(8),
    }),
  }),
})

const secret = new Secret(stack, 'ReaperSecret', {
  generateSecretString: {
    secretStringTemplate: '{"username":"slotkeeper"}',
    generateStringKey: 'password',
    excludePunctuation: true,
  },
})

const reaper = new SessionReaper(stack, 'Reaper', {
  target: 'shop',
  database,
  vpc,
  auth: { secret },
  // The master user's secret. Remove this line after the deployment has created the role.
  createRole: database.secret && { adminSecret: database.secret },
  mode: 'observe',
  policy: {
    scope: { users: ['shop_*'] },
    protect: [{ applications: ['pg_dump'] }],
    rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }],
  },
  alarms: {
    topics: [new Topic(stack, 'OnCall')],
    SlotsUsed: { threshold: 90, minutes: 5 },
  },
})

new CfnOutput(stack, 'LogGroup', { value: reaper.logGroup.logGroupName })
