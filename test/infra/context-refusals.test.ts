import { describe, expect, test } from 'vitest'
import { readContext } from '../../infra/context.ts'
import {
  ACCOUNT,
  arn,
  DATABASES,
  expectRefusal,
  HOST,
  HOSTS,
  iam,
  keyArn,
  network,
  RESOURCES,
  refusalOf,
  SECRET,
  SECRETS,
  SHAPES,
  STALE,
  target,
  USERS,
} from '../support/refusals.ts'

describe('cdk.json', () => {
  const DEPLOYED = { account: ACCOUNT, region: 'eu-central-1' }
  const read = (different: object, deployment = {}, base: object = target) =>
    refusalOf(() => readContext({ targets: [{ ...base, ...different }] }, deployment))

  test.each(HOSTS)('host %j', (host, said) => {
    expectRefusal(read({ host }), 'context slotkeeper.targets[0].host', said)
  })

  test.each([...SECRETS, ...SHAPES])('secretArn and adminSecretArn %j', (secret, said) => {
    for (const key of ['secretArn', 'adminSecretArn']) {
      const path = `context slotkeeper.targets[0].${key}`
      expectRefusal(read({ [key]: secret }, DEPLOYED), path, said)
    }
  })

  test.each(DATABASES)('database %j', (database, said) => {
    expectRefusal(read({ database }), 'context slotkeeper.targets[0].database', said)
  })

  test.each(USERS)('iamUser %j', (iamUser, said) => {
    expectRefusal(read({ iamUser }, {}, iam), 'context slotkeeper.targets[0].iamUser', said)
  })

  test.each(RESOURCES)('resourceId %j', (resourceId, said) => {
    expectRefusal(read({ resourceId }, {}, iam), 'context slotkeeper.targets[0].resourceId', said)
  })

  test.each<[string, unknown, string | undefined]>([
    ['port', 5433, undefined],
    ['port', '5432', 'expected a whole number from 1 to 65535'],
    ['port', 0, 'expected a whole number from 1 to 65535'],
    ['port', 65536, 'expected a whole number from 1 to 65535'],
    ['secretKeyArn', keyArn(), undefined],
    ['secretKeyArn', keyArn('eu-central-1', 'alias/shop'), 'this is an alias'],
    ['secretKeyArn', SECRET, "expected a key's ARN"],
    ['secretKeyArn', keyArn('us-east-1'), "expected a key of the secret's region"],
    ['adminSecretKeyArn', keyArn(), 'expected adminSecretArn beside it'],
    ['everySeconds', 15, undefined],
    ['everySeconds', 45, 'expected 10, 15, 20, 30, 60'],
    ['everySeconds', '15', 'expected 10, 15, 20, 30, 60'],
    ['reserveConcurrency', 'false', 'expected true or false'],
    ['metrics', 'prometheus', 'expected "cloudwatch", "emf"'],
    ['metricSet', 'essentials', 'did you mean "essential"?'],
    ['record', 'on', 'expected true or false'],
    ['hots', HOST, 'did you mean "host"?'],
    ['network', network, undefined],
    ['policy', { rules: [STALE], keep: 2 }, undefined],
    ['bounds', [{ user: 'shop_app', connectionLimit: 60 }], 'expected adminSecretArn beside it'],
  ])('%s %j', (key, value, said) => {
    expectRefusal(read({ [key]: value }), `context slotkeeper.targets[0].${key}`, said)
  })

  test.each<[string, object, string]>([
    ['network.vpcId', { vpcId: 'vpc-123' }, 'expected "vpc-" and 8 or 17 hexadecimal digits'],
    ['network.securityGroupId', { securityGroupId: 'vpc-0a1b2c3d' }, 'expected "sg-"'],
    [
      'network.subnets[0].id',
      { subnets: [{ ...network.subnets[0], id: 'subnet-a' }] },
      'expected "subnet-"',
    ],
    ['network.subnets', { subnets: [] }, 'expected subnets, not an empty list'],
  ])('%s', (path, different, said) => {
    const found = read({ network: { ...network, ...different } })
    expectRefusal(found, `context slotkeeper.targets[0].${path}`, said)
  })

  test('names the path of the problem in bounds', () => {
    const bounds = [{ user: 'shop_app', idleSessionTimeout: 30 }]
    const path = 'context slotkeeper.targets[0].bounds[0].idleSessionTimeout'
    expectRefusal(read({ bounds, adminSecretArn: SECRET }), path, '"30s"')
  })

  test('names the path of the problem in a policy', () => {
    const found = read({ policy: { rules: [{ ...STALE, olderThan: 30 }] } })
    expectRefusal(found, 'context slotkeeper.targets[0].policy.rules[0].olderThan', '"30s"')
  })

  test('accepts a secret in another account with its key', () => {
    const secretArn = arn('shop-AbCdEf', 'eu-central-1', '999999999999')
    expect(read({ secretArn, secretKeyArn: keyArn() }, DEPLOYED)).toBeUndefined()
  })

  test.each<[string, object]>([
    ['targets[0].host', { host: 'shop.<id>.eu-central-1.rds.amazonaws.com' }],
    ['targets[0].host', { host: 'shop.xxxxxxxxxxxx.eu-central-1.rds.amazonaws.com' }],
    ['targets[0].host', { host: 'db.example.com' }],
    ['targets[0].host', { host: 'your-db.c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com' }],
    ['targets[0].secretArn', { secretArn: arn('shop/slotkeeper-<6 characters>') }],
    ['targets[0].adminSecretArn', { adminSecretArn: arn('…') }],
    ['targets[0].network.vpcId', { network: { ...network, vpcId: 'vpc-…' } }],
    ['targets[0].network.vpcId', { network: { ...network, vpcId: 'vpc-00000000000000000' } }],
    ['targets[0].network.securityGroupId', { network: { ...network, securityGroupId: 'sg-xxxx' } }],
    [
      'targets[0].network.subnets[0].id',
      { network: { ...network, subnets: [{ ...network.subnets[0], id: 'subnet-…' }] } },
    ],
  ])('refuses a placeholder where it could be deployed: %s %j', (path, different) => {
    expect(read(different)).toBeUndefined()
    expectRefusal(read(different, DEPLOYED), `context slotkeeper.${path}`, 'is a placeholder')
  })

  test('refuses a placeholder e-mail address where it could be deployed', () => {
    const context = { email: 'oncall@example.com', targets: [target] }
    expect(refusalOf(() => readContext(context))).toBeUndefined()
    const found = refusalOf(() => readContext(context, DEPLOYED))
    expectRefusal(found, 'context slotkeeper.email', 'is a placeholder')
  })

  test('reports all problems at once', () => {
    const wrong = { ...target, host: `${HOST}:5432`, mode: 'observ', metrics: 'prometheus' }
    const context = {
      emial: 'x',
      targets: [wrong, { ...iam, resourceId: undefined, policy: { rules: [STALE], keep: -1 } }],
    }
    const found = refusalOf(() => readContext(context)) ?? ''
    expect(found).toMatch(/^context slotkeeper has 7 problems:\n/)
    expect(found.match(/^ {2}slotkeeper\S*(?=: )/gm)?.sort()).toEqual([
      '  slotkeeper.emial',
      '  slotkeeper.targets[0].host',
      '  slotkeeper.targets[0].metrics',
      '  slotkeeper.targets[0].mode',
      '  slotkeeper.targets[1].name',
      '  slotkeeper.targets[1].policy.keep',
      '  slotkeeper.targets[1].resourceId',
    ])
  })
})

describe('no refusal shows a password', () => {
  const PASSWORD = 'hunter2'
  const url = `postgres://slotkeeper:${PASSWORD}@${HOST}:5432/shop`

  test.each<[string, object]>([
    ['a URL as host', { host: url }],
    ['a URL with a placeholder as host', { host: url.replace('c1a2b3c4d5e6', '<id>') }],
    ['a password as secret', { secretArn: PASSWORD }],
    ['the secret itself', { secretArn: JSON.stringify({ password: PASSWORD }) }],
    ['a password as key', { secretKeyArn: PASSWORD }],
    ['a password of the administrator', { adminSecretArn: PASSWORD }],
    ['a password of its own', { password: PASSWORD }],
  ])('in cdk.json: %s', (_, different) => {
    const deployed = { account: ACCOUNT, region: 'eu-central-1' }
    const found = refusalOf(() => readContext({ targets: [{ ...target, ...different }] }, deployed))
    expect(found).toContain('slotkeeper.targets[0]')
    expect(found).not.toContain(PASSWORD)
  })
})
