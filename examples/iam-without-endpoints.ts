// The cheapest setup: a VPC without a NAT gateway and without endpoints. The function signs its own IAM token
// and writes its metrics as log lines, so it calls no AWS API at all.

import { App, Stack } from 'aws-cdk-lib'
import { SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2'
import {
  DatabaseInstance,
  DatabaseInstanceEngine,
  PostgresEngineVersion,
} from 'aws-cdk-lib/aws-rds'
import { SessionReaper } from 'slotkeeper'

const app = new App()
const stack = new Stack(app, 'Ledger')

const vpc = new Vpc(stack, 'Vpc', {
  natGateways: 0,
  subnetConfiguration: [{ name: 'database', subnetType: SubnetType.PRIVATE_ISOLATED }],
})
const vpcSubnets = { subnetType: SubnetType.PRIVATE_ISOLATED }

const database = new DatabaseInstance(stack, 'Database', {
  engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 }),
  vpc,
  vpcSubnets,
  iamAuthentication: true,
  storageEncrypted: true,
})

new SessionReaper(stack, 'Reaper', {
  target: 'ledger',
  database,
  vpc,
  vpcSubnets,
  // Create the role by hand, once: "npx slotkeeper grants --iam" prints the SQL.
  auth: { iamUser: 'slotkeeper' },
  metrics: 'emf',
  metricSet: 'essential',
  mode: 'observe',
  policy: { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] },
})
