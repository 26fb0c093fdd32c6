// Several servers, each given by its endpoint. One of them has an additional action on an alarm. Each server
// has its own stack, so that adding a server changes no other stack.

import { App, Stack, Tags } from 'aws-cdk-lib'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import { ManagedPolicy, PermissionsBoundary } from 'aws-cdk-lib/aws-iam'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { OverviewDashboard, type PolicyInput, SessionReaper } from 'slotkeeper'

const SERVERS = [
  { name: 'shop', host: 'shop.xxxxxxxxxxxx.eu-central-1.rds.amazonaws.com' },
  { name: 'ledger', host: 'ledger.xxxxxxxxxxxx.eu-central-1.rds.amazonaws.com' },
  { name: 'search', host: 'search.xxxxxxxxxxxx.eu-central-1.rds.amazonaws.com' },
]

const policy: PolicyInput = {
  protect: [{ users: ['master'] }, { applications: ['pg_dump', 'pgboss'] }],
  rules: [
    { name: 'full', state: 'idle', olderThan: '10s', when: { slotsUsedOver: '80%' } },
    { name: 'stale', state: 'idle', olderThan: '15m' },
  ],
  keep: 2,
}

const app = new App()
const shared = new Stack(app, 'Slots')
const team = new Topic(shared, 'Team')
const pager = new Topic(shared, 'Pager')

const reapers = SERVERS.map(({ name, host }) => {
  const stack = new Stack(app, `Slots-${name}`)
  return new SessionReaper(stack, 'Reaper', {
    target: name,
    database: { host },
    // The name is enough: the permission then allows any suffix that Secrets Manager gave the ARN.
    auth: { secret: Secret.fromSecretNameV2(stack, 'Secret', `${name}/slotkeeper`) },
    mode: 'observe',
    policy,
    alarms: { topics: [team], OldTransaction: false },
    // A new AWS account has no concurrency to reserve.
    reserveConcurrency: false,
  })
})

// `alarms` has each alarm by its name.
const [shop] = reapers
shop?.alarms.Exhausted?.addAlarmAction(new SnsAction(pager))

new OverviewDashboard(
  shared,
  'Overview',
  reapers.map(({ metrics }) => metrics),
)

// Tags and permissions boundaries are applied by aspects, as for every other CDK construct.
Tags.of(app).add('team', 'databases')
for (const reaper of reapers) {
  const boundary = ManagedPolicy.fromManagedPolicyName(reaper, 'Boundary', 'boundary')
  PermissionsBoundary.of(reaper).apply(boundary)
}
