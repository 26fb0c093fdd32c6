import { Duration, type Stack } from 'aws-cdk-lib'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { describe, expect, test } from 'vitest'
import {
  ACCOUNT,
  construct,
  DATABASES,
  expectRefusal,
  HOST,
  HOSTS,
  RESOURCES,
  refusalOf,
  SECRET,
  SECRETS,
  STALE,
  USERS,
} from '../support/refusals.ts'

describe('the construct', () => {
  test.each(HOSTS)('database.host %j', (host, said) => {
    const found = refusalOf(() => construct(() => ({ database: { host } })))
    expectRefusal(found, 'Test/Shop: database.host', said)
  })

  test.each(SECRETS)('auth.secret and createRole.adminSecret %j', (secretArn, said) => {
    const secret = (stack: Stack) =>
      /-\w{6}$/.test(secretArn)
        ? Secret.fromSecretCompleteArn(stack, 'Other', secretArn)
        : Secret.fromSecretPartialArn(stack, 'Other', secretArn)
    const login = refusalOf(() => construct((stack) => ({ auth: { secret: secret(stack) } })))
    expectRefusal(login, 'Test/Shop: auth.secret', said)
    const admin = refusalOf(() =>
      construct((stack) => ({ createRole: { adminSecret: secret(stack) } })),
    )
    expectRefusal(admin, 'Test/Shop: createRole.adminSecret', said)
  })

  test.each(DATABASES)('databaseName %j', (databaseName, said) => {
    const found = refusalOf(() => construct(() => ({ databaseName })))
    expectRefusal(found, 'Test/Shop: databaseName', said)
  })

  test.each(USERS)('auth.iamUser %j', (iamUser, said) => {
    const database = { host: HOST, resourceId: 'db-ABCDEF' }
    const found = refusalOf(() => construct(() => ({ auth: { iamUser }, database })))
    expectRefusal(found, 'Test/Shop: auth.iamUser', said)
  })

  test.each(RESOURCES)('database.resourceId %j', (resourceId, said) => {
    const found = refusalOf(() => construct(() => ({ database: { host: HOST, resourceId } })))
    expectRefusal(found, 'Test/Shop: database.resourceId', said)
  })

  test.each<[string, unknown, string | undefined]>([
    ['target', 'shop db (eu)', undefined],
    ['target', 'test', undefined],
    ['target', '', 'expected a name'],
    ['target', ' ', 'printable ASCII'],
    ['target', ':shop', 'printable ASCII'],
    ['target', 'größe', 'printable ASCII'],
    ['target', 'shop\tdb', 'printable ASCII'],
    ['target', 's'.repeat(200), undefined],
    ['target', 's'.repeat(201), '1 to 200'],
    ['target', 7, 'expected a name'],
    ['namespace', 'Mine/Databases', undefined],
    ['namespace', '', 'expected a namespace'],
    ['namespace', ':x', 'printable ASCII'],
    ['namespace', 'Datenbänke', 'printable ASCII'],
    ['namespace', 'n'.repeat(256), '1 to 255'],
    ['namespace', 'AWS/RDS', 'does not begin with "AWS/"'],
    ['mode', 'observ', 'did you mean "observe"?'],
    ['metrics', 'prometheus', 'expected "cloudwatch", "emf"'],
    ['metricSet', 'all', 'expected "full", "essential"'],
    ['every', Duration.seconds(15), undefined],
    ['every', Duration.seconds(45), 'one of 10, 15, 20, 30, 60'],
    ['every', Duration.millis(500), 'one of 10, 15, 20, 30, 60'],
    ['every', 60, 'expected a Duration'],
    ['every', '1m', 'expected a Duration'],
    ['reserveConcurrency', 'false', 'expected true or false'],
    ['reserveConcurrency', 1, 'expected true or false'],
    ['dashboard', 'no', 'expected true or false'],
    ['record', 'on', 'expected true or false'],
    ['memorySize', 256, undefined],
    ['memorySize', 64, 'from 128 to 10240'],
    ['memorySize', '256', 'from 128 to 10240'],
    ['architecture', 'arm64', 'expected a lambda.Architecture'],
    ['logRetention', 30, undefined],
    ['logRetention', 42, 'expected one of logs.RetentionDays'],
    ['logRetention', Duration.days(30), 'expected one of logs.RetentionDays'],
    ['role', `arn:aws:iam::${ACCOUNT}:role/x`, 'expected an iam.IRole'],
    ['logGroup', '/mine', 'expected a logs.ILogGroup'],
    ['database', 'shop', 'expected an rds instance or cluster'],
    ['database', undefined, 'expected an rds instance or cluster'],
    ['database', { dbProxyArn: 'x', endpoint: 'y' }, 'a pooler'],
    ['auth', SECRET, 'expected an object with secret, encryptionKey, iamUser'],
    ['auth', {}, 'found neither'],
    ['auth', { iamUser: undefined }, 'found neither'],
    ['auth', { secret: undefined, iamUser: undefined }, 'found neither'],
    ['alarms', false, undefined],
    ['alarms', true, 'expected an object with topic'],
    ['alarms', null, 'expected an object with topic'],
    ['createRole', true, 'expected an object with adminSecret'],
    ['bounds', [{ user: 'shop_app', connectionLimit: 5 }], 'expected createRole beside it'],
    ['vpcSubnets', {}, 'expected vpc beside it'],
    ['createEndpoints', true, 'expected vpc beside it'],
    ['endpoint', { hostname: HOST, port: 5432 }, 'expected none beside database.host'],
    ['policy', { rules: [STALE] }, undefined],
  ])('%s %j', (name, value, said) => {
    const found = refusalOf(() => construct(() => ({ [name]: value })))
    expectRefusal(found, `Test/Shop: ${name}`, said)
  })
})

test('bounds with the path of the problem', () => {
  const found = refusalOf(() =>
    construct((stack) => ({
      bounds: [{ user: 'shop_app', connectionLimit: 0 }],
      createRole: { adminSecret: Secret.fromSecretNameV2(stack, 'Admin', 'master') },
    })),
  )
  expectRefusal(found, 'Test/Shop: bounds[0].connectionLimit', '0 would refuse every login')
})

describe('no refusal shows a password', () => {
  const PASSWORD = 'hunter2'
  const url = `postgres://slotkeeper:${PASSWORD}@${HOST}:5432/shop`

  test.each<[string, Record<string, unknown>]>([
    ['a URL as host', { database: { host: url } }],
    [
      'a URL with a placeholder as host',
      { database: { host: url.replace('c1a2b3c4d5e6', '<id>') } },
    ],
    ['a URL as database', { database: url }],
    ['a list with a URL as database', { database: [url] }],
    ['a URL as auth', { auth: url }],
    ['a password as secret', { auth: { secret: PASSWORD } }],
    ['a password of its own', { auth: { iamUser: 'x', password: PASSWORD } }],
    ['a list as auth', { auth: [PASSWORD] }],
    ['a password as key', { auth: { secret: { secretArn: SECRET }, encryptionKey: PASSWORD } }],
    ['a password beside', { password: PASSWORD }],
    ['a password of the administrator', { createRole: { adminSecret: PASSWORD } }],
    ['a password as createRole', { createRole: PASSWORD }],
  ])('in the construct: %s', (_, different) => {
    const found = refusalOf(() => construct(() => different))
    expect(found).toContain('Test/Shop')
    expect(found).not.toContain(PASSWORD)
  })
})
