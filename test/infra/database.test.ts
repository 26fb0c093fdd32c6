import { App, Duration, Stack } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { Vpc } from 'aws-cdk-lib/aws-ec2'
import {
  DatabaseInstance,
  DatabaseInstanceEngine,
  PostgresEngineVersion,
} from 'aws-cdk-lib/aws-rds'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { describe, expect, test } from 'vitest'
import { connectionParameters, SessionReaper } from '../../infra/index.ts'
import { auroraCluster, has, newStack, reaper, secretOf, statements } from '../support/reaper.ts'

describe('the database', () => {
  test('an instance opens its security group and is reached by its endpoint', () => {
    const stack = newStack()
    const vpc = new Vpc(stack, 'Vpc')
    const database = new DatabaseInstance(stack, 'Db', {
      engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 }),
      vpc,
      iamAuthentication: true,
    })
    const { template } = reaper(
      { database, vpc, auth: { iamUser: 'slotkeeper' }, createEndpoints: true },
      stack,
    )
    has(template, 'AWS::EC2::SecurityGroupIngress', {
      Description: 'Slotkeeper',
      FromPort: { 'Fn::GetAtt': [Match.anyValue(), 'Endpoint.Port'] },
    })
    expect(JSON.stringify(statements(template))).toContain('DbiResourceId')
    // Tokens are signed locally, so the metrics alone ask for a way.
    expect(Object.keys(template.findResources('AWS::EC2::VPCEndpoint'))).toHaveLength(1)
    has(template, 'AWS::EC2::VPCEndpoint', {
      ServiceName: 'com.amazonaws.eu-central-1.monitoring',
    })
    has(template, 'AWS::Lambda::Function', {
      MemorySize: 256,
      VpcConfig: Match.objectLike({ SecurityGroupIds: [Match.anyValue()] }),
    })
  })

  test('may be in another stack of the app', () => {
    const app = new App()
    const data = new Stack(app, 'Data')
    const vpc = new Vpc(data, 'Vpc')
    const database = new DatabaseInstance(data, 'Db', {
      engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17 }),
      vpc,
    })
    const stack = new Stack(app, 'Guard')
    const adminSecret = Secret.fromSecretNameV2(stack, 'Admin', 'master')
    const { template } = reaper({ database, vpc, createRole: { adminSecret } }, stack)
    const port = Match.objectLike({ 'Fn::ImportValue': Match.stringLikeRegexp('EndpointPort') })
    has(template, 'AWS::EC2::SecurityGroupIngress', { FromPort: port, ToPort: port })
    expect(() => app.synth()).not.toThrow()
  })

  test('a cluster is swept as a whole, or at the given instance', () => {
    const stack = newStack()
    const vpc = new Vpc(stack, 'Vpc')
    const database = auroraCluster(stack, vpc)
    const auth = { secret: secretOf(stack) }
    new SessionReaper(stack, 'Whole', { database, vpc, auth, mode: 'reap', policy: 'incident' })
    const [endpoint] = database.instanceEndpoints
    new SessionReaper(stack, 'Instance', {
      database,
      vpc,
      auth,
      mode: 'reap',
      policy: 'incident',
      endpoint,
    })
    const template = Template.fromStack(stack)
    const functions = Object.values(template.findResources('AWS::Lambda::Function')).map(
      ({ Properties: { MemorySize, Environment } }) => ({ MemorySize, ...Environment.Variables }),
    )
    expect(functions).toMatchObject([
      { SLOTKEEPER_CLUSTER: 'aurora', MemorySize: 256 },
      { MemorySize: 256 },
    ])
    expect(functions[1]).not.toHaveProperty('SLOTKEEPER_CLUSTER')
    const hosts = functions.map(({ SLOTKEEPER_HOST }) => SLOTKEEPER_HOST['Fn::GetAtt'])
    expect(hosts.map(([, attribute]) => attribute)).toEqual([
      'Endpoint.Address',
      'Endpoint.Address',
    ])
    expect(new Set(hosts.map(([id]) => id)).size).toBe(2)
  })
})

describe('connectionParameters', () => {
  test('sets the defaults of the server parameters', () => {
    expect(connectionParameters({ maxConnections: 500, reservedConnections: 5 })).toEqual({
      max_connections: '500',
      reserved_connections: '5',
      idle_in_transaction_session_timeout: '900000',
      tcp_keepalives_idle: '60',
      tcp_keepalives_interval: '10',
      tcp_keepalives_count: '6',
    })
    expect(connectionParameters()).not.toHaveProperty('max_connections')
  })

  test('sets idle_session_timeout only on request', () => {
    expect(connectionParameters()).not.toHaveProperty('idle_session_timeout')
    expect(connectionParameters({ idleSessionTimeout: Duration.hours(1) })).toMatchObject({
      idle_session_timeout: '3600000',
    })
  })

  test.each<[object, string]>([
    [{ maxConnections: 0 }, 'maxConnections: expected a whole number from 1'],
    [{ maxConnections: 1.5 }, 'maxConnections: expected a whole number from 1'],
    [{ maxConnections: -1 }, 'maxConnections: expected a whole number from 1'],
    [{ maxConnections: 262_144 }, 'to 262143'],
    [{ maxConnections: '500' }, 'maxConnections: expected a whole number from 1'],
    [{ reservedConnections: 0 }, 'reservedConnections: expected a whole number from 1'],
    [{ maxConnections: 8, reservedConnections: 5 }, 'PostgreSQL would not start'],
    [{ idleSessionTimeout: 3600 }, 'idleSessionTimeout: expected a Duration'],
    [{ idleSessionTimeout: Duration.days(25) }, 'at most 24 days'],
    [{ idleSesionTimeout: Duration.hours(1) }, 'did you mean "idleSessionTimeout"?'],
  ])('%j is refused', (props, said) => {
    expect(() => connectionParameters(props)).toThrow(said)
    expect(() => connectionParameters(props)).toThrow(/^connectionParameters: /)
  })
})
