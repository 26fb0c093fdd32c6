import {
  CloudWatchClient,
  GetMetricDataCommand,
  type MetricDataQuery,
  type MetricDatum,
  PutMetricDataCommand,
} from '@aws-sdk/client-cloudwatch'
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { credentialsFor, iamCredentials } from '../../../lambda/aws/credentials.ts'
import { EXAMPLE_KEYS, startAws } from '../../../stand-ins/aws.ts'
import { startFaultyAws } from '../../support/aws-faults.ts'

const aws = await startAws({ known: 'a value' })
afterAll(() => aws.close())

const config = {
  endpoint: aws.url,
  region: EXAMPLE_KEYS.AWS_REGION,
  maxAttempts: 1,
  credentials: {
    accessKeyId: EXAMPLE_KEYS.AWS_ACCESS_KEY_ID,
    secretAccessKey: EXAMPLE_KEYS.AWS_SECRET_ACCESS_KEY,
  },
}
const cloudWatch = new CloudWatchClient(config)
const secretsManager = new SecretsManagerClient(config)

const put = (MetricData: MetricDatum[], Namespace = 'Test') =>
  cloudWatch.send(new PutMetricDataCommand({ Namespace, MetricData }))

describe('the stand-ins accept what AWS accepts', () => {
  test('a secret', async () => {
    const { SecretString } = await secretsManager.send(
      new GetSecretValueCommand({ SecretId: 'known' }),
    )
    expect(SecretString).toBe('a value')
  })

  test('metrics, compressed when there are many', async () => {
    const many = Array.from({ length: 500 }, (_, index) => ({
      MetricName: `metric ${index}`,
      Value: index,
    }))
    await put(many)
    expect(aws.puts.at(-1)?.MetricData).toHaveLength(500)
  })
})

describe('the stand-ins refuse what AWS refuses', () => {
  test.each([
    ['no metric', []],
    ['an empty name', [{ MetricName: '', Value: 1 }]],
    ['no value', [{ MetricName: 'm' }]],
    ['not a number', [{ MetricName: 'm', Value: Number.NaN }]],
    ['too many values', [{ MetricName: 'm', Values: Array.from({ length: 151 }, (_, i) => i) }]],
    ['counts that do not pair', [{ MetricName: 'm', Values: [1, 2], Counts: [1] }]],
    [
      'an empty dimension',
      [{ MetricName: 'm', Value: 1, Dimensions: [{ Name: 'Target', Value: '' }] }],
    ],
    ['too many metrics', Array.from({ length: 1001 }, () => ({ MetricName: 'm', Value: 1 }))],
  ])('%s', async (_, metricData) => {
    await expect(put(metricData)).rejects.toMatchObject({ $metadata: { httpStatusCode: 400 } })
  })

  test('a namespace that begins with AWS/', async () => {
    await expect(put([{ MetricName: 'm', Value: 1 }], 'AWS/RDS')).rejects.toThrow()
  })

  test('an unknown secret', async () => {
    await expect(
      secretsManager.send(new GetSecretValueCommand({ SecretId: 'unknown' })),
    ).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  })

  test('an unsigned request', async () => {
    const response = await fetch(aws.url, {
      method: 'POST',
      headers: { 'x-amz-target': 'secretsmanager.GetSecretValue' },
      body: '{"SecretId": "known"}',
    })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('MissingAuthenticationToken')
  })

  test.each([
    ['another key', { accessKeyId: 'AKIDOTHER' }, 'UnrecognizedClientException'],
    ['a wrong signature', { secretAccessKey: 'wrong' }, 'SignatureDoesNotMatch'],
  ])('%s', async (_, change, name) => {
    const client = new SecretsManagerClient({
      ...config,
      credentials: { ...config.credentials, ...change },
    })
    await expect(
      client.send(new GetSecretValueCommand({ SecretId: 'known' })),
    ).rejects.toMatchObject({ name })
  })
})

test('an IAM token is signed locally for one host, port and role', async () => {
  const anybody = await startFaultyAws(aws.url)
  onTestFinished(() => anybody.close())
  Object.assign(process.env, EXAMPLE_KEYS, { AWS_ENDPOINT_URL: anybody.url })
  const read = iamCredentials({ host: 'db.example', port: 6432, user: 'reaper' })
  const { password, ...rest } = await read(false)
  expect(rest).toEqual({ host: 'db.example', port: 6432, user: 'reaper', database: 'postgres' })
  expect(password).toMatch(/^db\.example:6432\/\?/)
  const token = new URLSearchParams(password.replace(/^[^?]*\?/, ''))
  expect(Object.fromEntries(token)).toMatchObject({
    Action: 'connect',
    DBUser: 'reaper',
    'X-Amz-Expires': '900',
    'X-Amz-Credential': expect.stringMatching(/eu-central-1\/rds-db\/aws4_request$/),
    'X-Amz-Signature': expect.stringMatching(/^[0-9a-f]{64}$/),
  })
  expect(anybody.requests).toBe(0)
})

test('each instance of a cluster has a token of its own, and all share one secret', async () => {
  Object.assign(process.env, EXAMPLE_KEYS, { AWS_ENDPOINT_URL: aws.url })
  const tokens = credentialsFor(
    { via: 'iam', host: 'cluster.example', user: 'reaper' },
    { host: 'cluster.example', port: 6432, user: 'reaper' },
  )
  for (const host of ['cluster.example', 'a.example', 'b.example']) {
    const credentials = await tokens(host === 'cluster.example' ? undefined : host)(false)
    expect(credentials).toMatchObject({ host, user: 'reaper' })
    expect(credentials.password.startsWith(`${host}:6432/?`)).toBe(true)
  }
  const secretArn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:shared'
  aws.secrets.set(secretArn, '{"username":"reaper","password":"p","host":"cluster.example"}')
  const before = aws.secretReads.length
  const secrets = credentialsFor({ via: 'secret', secretArn }, {})
  expect(await secrets()(false)).toMatchObject({ host: 'cluster.example', password: 'p' })
  expect(await secrets('a.example')(false)).toMatchObject({ host: 'a.example', password: 'p' })
  expect(await secrets('b.example')(false)).toMatchObject({ host: 'b.example', password: 'p' })
  expect(aws.secretReads.length - before).toBe(1)
  aws.secrets.set(secretArn, '{"username":"reaper","password":"q","host":"cluster.example"}')
  const rotated = await Promise.all(['a.example', 'b.example'].map((host) => secrets(host)(true)))
  expect(rotated).toMatchObject([
    { host: 'a.example', password: 'q' },
    { host: 'b.example', password: 'q' },
  ])
  expect(aws.secretReads.length - before).toBe(2)
})

describe('GetMetricData', () => {
  const metric = { Namespace: 'AWS/RDS', MetricName: 'DatabaseConnections' }
  const stat = { Metric: metric, Period: 60, Stat: 'Maximum' }
  const noon = Date.UTC(2026, 10, 25, 12)
  const times = { StartTime: new Date(noon), EndTime: new Date(noon + 300_000) }
  const ask = (queries: object[], different = {}) =>
    cloudWatch.send(
      new GetMetricDataCommand({
        MetricDataQueries: queries as MetricDataQuery[],
        ...times,
        ...different,
      }),
    )

  test.each<[string, object[], object]>([
    ['no query', [], {}],
    ['an Id in capitals', [{ Id: 'M1', MetricStat: stat }], {}],
    ['no Id', [{ MetricStat: stat }], {}],
    [
      'one Id twice',
      [
        { Id: 'a', MetricStat: stat },
        { Id: 'a', MetricStat: stat },
      ],
      {},
    ],
    ['neither metric nor expression', [{ Id: 'a' }], {}],
    ['a period of 45 s', [{ Id: 'a', MetricStat: { ...stat, Period: 45 } }], {}],
    ['an unknown statistic', [{ Id: 'a', MetricStat: { ...stat, Stat: 'Most' } }], {}],
    ['an end before its start', [{ Id: 'a', MetricStat: stat }], { EndTime: new Date(noon - 1) }],
    [
      'more than 500 queries',
      Array.from({ length: 501 }, (_, index) => ({ Id: `m${index}`, MetricStat: stat })),
      {},
    ],
  ])('with %s is refused', async (_, queries, different) => {
    await expect(ask(queries, different)).rejects.toMatchObject({
      name: 'InvalidParameterValueException',
    })
  })

  test('gives one value for each minute of the time asked for, the latest first', async () => {
    const at = (minutes: number, value: number) => ({ at: noon / 1000 + 60 * minutes + 7, value })
    aws.samples.set('AWS/RDS/DatabaseConnections ', [
      at(-1, 9),
      at(0, 2),
      at(0, 5),
      at(3, 1),
      at(5, 8),
    ])
    const { MetricDataResults } = await ask([{ Id: 'a', MetricStat: stat }])
    expect(MetricDataResults).toMatchObject([
      { Id: 'a', Timestamps: [new Date(noon + 180_000), new Date(noon)], Values: [1, 5] },
    ])
  })
})
