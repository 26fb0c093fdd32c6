import { App, type Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { Vpc } from 'aws-cdk-lib/aws-ec2'
import { describe, expect, test } from 'vitest'
import { readContext } from '../../infra/context.ts'
import { addStacks } from '../../infra/stacks.ts'
import { readSettings } from '../../lambda/settings.ts'
import { auroraCluster, newStack, reaper, statements } from '../support/reaper.ts'
import { construct, expectRefusal, iam, refusalOf, target, WRITER } from '../support/refusals.ts'

const READERS = WRITER.replace('cluster-', 'cluster-ro-')
const CUSTOM = WRITER.replace('cluster-', 'cluster-custom-')
const CHINA = 'shop.cluster-c1a2b3c4d5e6.rds.cn-north-1.amazonaws.com.cn'

/** What `cdk.json` deploys for one target. */
function deployed(different: object): Template {
  const app = new App()
  addStacks(app, readContext({ targets: [{ ...target, ...different }] }))
  return Template.fromStack(app.node.findChild('Slotkeeper-shop') as Stack)
}

const sweepOf = (template: Template) =>
  Object.values(template.findResources('AWS::Lambda::Function')).map(
    ({ Properties }) => Properties,
  )[0]

describe('a whole cluster', () => {
  test.each([WRITER, READERS, CUSTOM, WRITER.toUpperCase(), `${WRITER}.`])(
    'is deployed by %s in cdk.json',
    (host) => {
      const { Environment, MemorySize } = sweepOf(deployed({ host, cluster: true }))
      expect(Environment.Variables).toMatchObject({
        SLOTKEEPER_CLUSTER: 'aurora',
        SLOTKEEPER_HOST: host,
      })
      expect(readSettings(Environment.Variables, 'dist/lambda')).toMatchObject({
        cluster: true,
        autoPause: false,
      })
      expect(MemorySize).toBe(256)
    },
  )

  const hosts: [string, string][] = [
    [target.host, 'the endpoint of one instance'],
    ['10.0.9.7', 'an address does not tell'],
    ['shop.corp.internal', 'an alias (CNAME) does not tell'],
    ['shop.proxy-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', 'a pooler'],
    ['shop.shardgrp-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com', 'a shard group'],
    ['shop.global-c1a2b3c4d5e6.global.rds.amazonaws.com', 'a global database'],
    ['', "expected the server's endpoint"],
  ]
  test.each(hosts)('is refused with the host %j', (host, said) => {
    const inJson = refusalOf(() => readContext({ targets: [{ ...target, host, cluster: true }] }))
    expectRefusal(inJson, 'context slotkeeper.targets[0].host', said)
    const inApp = refusalOf(() => construct(() => ({ database: { host, cluster: true } })))
    expectRefusal(inApp, 'Test/Shop: database.host', said)
  })

  test('in China is taken, and asks for its certificate authorities', () => {
    const found = refusalOf(() =>
      readContext({ targets: [{ ...target, host: CHINA, cluster: true }] }),
    )
    expectRefusal(found, 'context slotkeeper.targets[0].caFile', 'cn-north-1')
  })

  test.each<[string, object, string, string]>([
    ['a word', { cluster: 'yes' }, 'cluster', 'expected true or false'],
    [
      'autoPause without it',
      { autoPause: true },
      'autoPause',
      'expected "cluster": true beside it',
    ],
    [
      'autoPause at a custom endpoint',
      { host: CUSTOM, cluster: true, autoPause: true },
      'host',
      'autoPause needs the identifier of the cluster',
    ],
    [
      'a role to create at a reader',
      { host: READERS, cluster: true, adminSecretArn: target.secretArn },
      'host',
      'the role can only be created there',
    ],
  ])('%s is refused', (_, different, key, said) => {
    const found = refusalOf(() => readContext({ targets: [{ ...target, ...different }] }))
    expectRefusal(found, `context slotkeeper.targets[0].${key}`, said)
  })

  test('needs its own resource id for IAM, not that of an instance', () => {
    const found = refusalOf(() =>
      readContext({ targets: [{ ...iam, host: WRITER, cluster: true }] }),
    )
    expectRefusal(found, 'context slotkeeper.targets[0].resourceId', 'expected that of the cluster')
  })

  test('of an app needs no quotes in its name, by which the dashboard searches', () => {
    const database = { host: WRITER, cluster: true }
    const found = refusalOf(() => construct(() => ({ database, target: `shop's` })))
    expectRefusal(found, 'Test/Shop: target', 'no quotes')
  })

  test('has a row of graphs for its instances, and alarms on its own values alone', () => {
    const template = deployed({ host: WRITER, cluster: true })
    const [dashboard] = Object.values(template.findResources('AWS::CloudWatch::Dashboard'))
    const body = JSON.stringify(dashboard?.Properties.DashboardBody).replaceAll('\\', '')
    for (const metric of ['SlotsUsedPercent', 'SlotsUsed', 'SessionsReaped', 'SweepSucceeded']) {
      const search = `{"Slotkeeper",Target,Instance} MetricName="${metric}" Target="shop"`
      expect(body).toContain(`SEARCH('${search}', '`)
    }
    expect(body).toContain("PROP('Dim.Instance')")
    const alarms = JSON.stringify(template.findResources('AWS::CloudWatch::Alarm'))
    expect(alarms).not.toContain('Instance')
    expect(alarms).not.toContain('SEARCH')
    expect(alarms).toContain('IF(FILL(invocations, REPEAT), succeeded)')
  })

  test('has no graphs of instances with the essential metrics', () => {
    const template = deployed({ host: WRITER, cluster: true, metricSet: 'essential' })
    const dashboards = JSON.stringify(template.findResources('AWS::CloudWatch::Dashboard'))
    expect(dashboards).not.toContain('SEARCH')
  })
})

describe('autoPause', () => {
  const READS = { Action: 'cloudwatch:GetMetricData', Effect: 'Allow', Resource: '*' }

  test('may read metrics, and has a way to them', () => {
    const stack = newStack()
    const vpc = new Vpc(stack, 'Vpc')
    const { template } = reaper(
      {
        database: auroraCluster(stack, vpc),
        vpc,
        autoPause: true,
        metrics: 'emf',
        createEndpoints: true,
        auth: { iamUser: 'slotkeeper' },
      },
      stack,
    )
    expect(statements(template)).toContainEqual(READS)
    expect(Object.values(template.findResources('AWS::EC2::VPCEndpoint'))).toMatchObject([
      { Properties: { ServiceName: 'com.amazonaws.eu-central-1.monitoring' } },
    ])
    expect(JSON.stringify(template.findResources('AWS::Lambda::Function'))).toContain(
      '"SLOTKEEPER_AUTO_PAUSE":"on"',
    )
  })

  test('is off by default, without a further permission', () => {
    const template = deployed({ host: WRITER, cluster: true })
    expect(statements(template)).not.toContainEqual(READS)
    expect(sweepOf(template).Environment.Variables).not.toHaveProperty('SLOTKEEPER_AUTO_PAUSE')
    const pausing = deployed({ host: WRITER, cluster: true, autoPause: true })
    expect(statements(pausing)).toContainEqual(READS)
  })

  test('needs a whole cluster in an app too', () => {
    const found = refusalOf(() => construct(() => ({ autoPause: true })))
    expectRefusal(found, 'Test/Shop: autoPause', 'expected a whole cluster')
  })
})
