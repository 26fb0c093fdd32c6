import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { isLoopback, isProxyEndpoint, regionOf } from '../../../lambda/core/endpoint.ts'
import { readCertificates } from '../../../lambda/postgres/tls.ts'
import { readSettings } from '../../../lambda/settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-settings-'))
afterAll(() => rmSync(folder, { recursive: true }))
const rules = '"rules": [{"name": "a", "state": "idle", "olderThan": "1m"}]'
writeFileSync(join(folder, 'policy.json'), `{${rules}, "keep": 3}`)

const CLUSTER = 'shop.cluster-abc123.eu-central-1.rds.amazonaws.com'
const READERS = CLUSTER.replace('cluster-', 'cluster-ro-')
const CUSTOM = CLUSTER.replace('cluster-', 'cluster-custom-')

const least = {
  SLOTKEEPER_TARGET: 'shop',
  SLOTKEEPER_MODE: 'reap',
  SLOTKEEPER_POLICY: 'incident',
  SLOTKEEPER_SECRET_ARN: 'arn:x',
}
const read = (env: Record<string, string>) => readSettings({ ...least, ...env }, folder)

test('the minimal configuration has these defaults', () => {
  expect(read({})).toMatchObject({
    target: 'shop',
    mode: 'reap',
    policy: { rules: [{ name: 'idle' }, { name: 'crowd' }] },
    auth: { via: 'secret', secretArn: 'arn:x' },
    overrides: {},
    caFile: join(folder, 'rds-ca.pem'),
    metrics: { via: 'cloudwatch', set: 'full', namespace: 'Slotkeeper' },
    record: false,
  })
})

test.each<[Record<string, string>, object]>([
  [{ SLOTKEEPER_MODE: 'observe' }, { mode: 'observe' }],
  [{ SLOTKEEPER_POLICY: `{${rules}, "budget": 9}` }, { policy: { budget: 9 } }],
  [{ SLOTKEEPER_POLICY: 'file:policy.json' }, { policy: { keep: 3 } }],
  [
    {
      SLOTKEEPER_HOST: 'h',
      SLOTKEEPER_PORT: '6432',
      SLOTKEEPER_DATABASE: 'd',
      SLOTKEEPER_USER: 'u',
    },
    { overrides: { host: 'h', port: 6432, database: 'd', user: 'u' } },
  ],
  [
    { SLOTKEEPER_AUTH: 'iam', SLOTKEEPER_HOST: 'h', SLOTKEEPER_USER: 'u' },
    { auth: { via: 'iam', host: 'h', user: 'u' } },
  ],
  [{ SLOTKEEPER_TLS: 'off', SLOTKEEPER_HOST: '127.0.0.1' }, { caFile: false }],
  [{ SLOTKEEPER_CA_FILE: '/ca.pem' }, { caFile: '/ca.pem' }],
  [{ SLOTKEEPER_RECORD: 'on' }, { record: true }],
  [{ SLOTKEEPER_RECORD: 'off', SLOTKEEPER_MODE: 'observe' }, { record: false }],
  [
    { SLOTKEEPER_METRICS: 'emf', SLOTKEEPER_METRIC_SET: 'essential', SLOTKEEPER_NAMESPACE: 'N' },
    { metrics: { via: 'emf', set: 'essential', namespace: 'N' } },
  ],
  [{}, { cluster: false, autoPause: false }],
  [{ SLOTKEEPER_CLUSTER: '' }, { cluster: false }],
  [{ SLOTKEEPER_CLUSTER: 'aurora' }, { cluster: true, autoPause: false }],
  [{ SLOTKEEPER_CLUSTER: 'aurora', SLOTKEEPER_HOST: CLUSTER }, { cluster: true }],
  [{ SLOTKEEPER_CLUSTER: 'aurora', SLOTKEEPER_HOST: READERS }, { cluster: true }],
  [{ SLOTKEEPER_CLUSTER: 'aurora', SLOTKEEPER_AUTO_PAUSE: 'on' }, { autoPause: true }],
  [{ SLOTKEEPER_AUTO_PAUSE: 'off' }, { autoPause: false }],
])('%o', (env, expected) => {
  expect(read(env)).toMatchObject(expected)
})

test('a missing policy is "incident" in mode observe and a problem in mode reap', () => {
  const { SLOTKEEPER_POLICY: _, ...without } = least
  expect(() => readSettings(without, folder)).toThrow(
    'SLOTKEEPER_POLICY: missing; in mode "reap" expected a policy with rules, or "incident"',
  )
  const observing = readSettings({ ...without, SLOTKEEPER_MODE: 'observe' }, folder)
  expect(observing).toMatchObject({
    policyGiven: false,
    policy: { rules: [{ name: 'idle' }, { name: 'crowd' }] },
  })
  expect(read({}).policyGiven).toBe(true)
})

test.each<[Record<string, string>, string]>([
  [{ SLOTKEEPER_POLICY: '{}' }, 'SLOTKEEPER_POLICY: policy.rules: missing'],
  [{ SLOTKEEPER_POLICY: '{}', SLOTKEEPER_MODE: 'observe' }, 'policy.rules: missing'],
  [{ SLOTKEEPER_POLICY: 'incidnt' }, 'did you mean "incident"?'],
  [{ SLOTKEEPER_POLICY: `{${rules}, "keep": 1, "keep": 2}` }, 'policy.keep: the key occurs twice'],
  [{ SLOTKEEPER_TARGET: '' }, 'SLOTKEEPER_TARGET: missing'],
  [{ SLOTKEEPER_RECORD: 'true' }, 'SLOTKEEPER_RECORD: found "true"; expected "on" or "off"'],
  [{ SLOTKEEPER_MODE: '' }, 'SLOTKEEPER_MODE: missing; expected "reap" or "observe"'],
  [{ SLOTKEEPER_MODE: 'observer' }, 'found "observer" (did you mean "observe"?)'],
  [{ SLOTKEEPER_SECRET_ARN: '' }, 'SLOTKEEPER_SECRET_ARN: missing'],
  [{ SLOTKEEPER_AUTH: 'iam' }, 'SLOTKEEPER_USER: missing'],
  [{ SLOTKEEPER_PORT: '0' }, 'SLOTKEEPER_PORT: found "0"; expected a number from 1 to 65535'],
  [{ SLOTKEEPER_PORT: '5432x' }, 'SLOTKEEPER_PORT: found "5432x"'],
  [{ SLOTKEEPER_TLS: 'off' }, 'SLOTKEEPER_TLS: "off" is for'],
  [{ SLOTKEEPER_TLS: 'off', SLOTKEEPER_HOST: 'db.example' }, 'SLOTKEEPER_TLS: "off" is for'],
  [{ SLOTKEEPER_HOST: 'db:5432' }, 'SLOTKEEPER_HOST: found "db:5432"'],
  [{ SLOTKEEPER_HOST: 'postgres://db' }, 'SLOTKEEPER_HOST: found "postgres://db"'],
  [{ SLOTKEEPER_HOST: 'postgres://u:hush@db' }, 'SLOTKEEPER_HOST: found a URL;'],
  [{ SLOTKEEPER_HOST: 'db ' }, 'SLOTKEEPER_HOST: found "db "'],
  [{ SLOTKEEPER_TLS: 'on' }, 'SLOTKEEPER_TLS: found "on"'],
  [{ SLOTKEEPER_CLUSTER: 'Aurora' }, 'SLOTKEEPER_CLUSTER: found "Aurora"'],
  [{ SLOTKEEPER_CLUSTER: 'true' }, 'SLOTKEEPER_CLUSTER: found "true"; expected "aurora"'],
  [
    { SLOTKEEPER_CLUSTER: 'aurora', SLOTKEEPER_HOST: 'db.example' },
    'SLOTKEEPER_HOST: found "db.example": this is not a name that RDS gave a cluster',
  ],
  [
    { SLOTKEEPER_CLUSTER: 'aurora', SLOTKEEPER_HOST: '10.0.0.7' },
    'SLOTKEEPER_HOST: found "10.0.0.7": an address does not tell',
  ],
  [{ SLOTKEEPER_AUTO_PAUSE: 'true' }, 'SLOTKEEPER_AUTO_PAUSE: found "true"'],
  [{ SLOTKEEPER_AUTO_PAUSE: 'on' }, '"on" needs SLOTKEEPER_CLUSTER=aurora beside it'],
  [
    { SLOTKEEPER_CLUSTER: 'aurora', SLOTKEEPER_AUTO_PAUSE: 'on', SLOTKEEPER_HOST: CUSTOM },
    'SLOTKEEPER_AUTO_PAUSE: the host',
  ],
  [{ SLOTKEEPER_METRICS: 'none' }, 'SLOTKEEPER_METRICS: found "none"'],
  [{ SLOTKEEPER_POLICY: '' }, 'SLOTKEEPER_POLICY: policy: expected JSON'],
  [{ SLOTKEEPER_POLICY: '{' }, 'SLOTKEEPER_POLICY: policy: expected JSON'],
  [{ SLOTKEEPER_POLICY: '{"keep": -1}' }, 'SLOTKEEPER_POLICY: policy.keep: expected'],
  [{ SLOTKEEPER_POLICY: 'file:none.json' }, 'none.json'],
  [{ SLOTKEEPER_POLICY: 'file:../policy.json' }, 'SLOTKEEPER_POLICY: policy: expected JSON'],
  [
    { SLOTKEEPER_POLCY: '{}' },
    'SLOTKEEPER_POLCY: unknown variable (did you mean "SLOTKEEPER_POLICY"?)',
  ],
])('%o is refused', (env, said) => {
  expect(() => read(env)).toThrow(
    expect.objectContaining({ kind: 'settings', message: expect.stringContaining(said) }),
  )
})

test('reports all problems at once', () => {
  const env = {
    SLOTKEEPER_PORT: 'x',
    SLOTKEEPER_METRICS: 'x',
    SLOTKEEPER_POLICY: '{"keep": -1, "budget": 0}',
  }
  for (const named of ['TARGET', 'MODE', 'SECRET_ARN', 'PORT', 'METRICS', 'keep', 'budget']) {
    expect(() => readSettings(env, folder)).toThrow(named)
  }
})

test.each([
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['::1', true],
  ['localhost', true],
  ['/var/run/postgresql', true],
  ['127.example.com', false],
  ['127.999.0.1', false],
  ['127.0.0.010', false],
  ['10.0.0.1', false],
  ['localhost.example', false],
  [undefined, false],
])('%s is on the loopback: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected)
})

test.each([
  ['shop.abc.eu-central-1.rds.amazonaws.com', 'eu-central-1'],
  ['shop.abc.us-gov-west-1.rds.amazonaws.com', 'us-gov-west-1'],
  ['shop.cluster-ro-abc.ap-southeast-7.rds.amazonaws.com', 'ap-southeast-7'],
  ['shop.abc.rds.cn-north-1.amazonaws.com.cn', 'cn-north-1'],
  ['shop.abc.cn-northwest-1.rds.amazonaws.com.cn', 'cn-northwest-1'],
  ['shop.abc.eu-central-1.rds.amazonaws.com.', 'eu-central-1'],
  ['shop.abc.eu-central-1.rds.amazonaws.com.example.org', undefined],
  ['shop.example.org', undefined],
  [undefined, undefined],
])('the region of %s is %s', (host, region) => {
  expect(regionOf(host)).toBe(region)
})

test.each([
  ['shop.proxy-abc.eu-central-1.rds.amazonaws.com', true],
  ['shop.abc.eu-central-1.rds.amazonaws.com', false],
  ['proxy-shop.abc.eu-central-1.rds.amazonaws.com', false],
])('%s is the endpoint of an RDS Proxy: %s', (host, expected) => {
  expect(isProxyEndpoint(host)).toBe(expected)
})

describe('the certificate authorities', () => {
  test('are read one by one', () => {
    const one = '-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----'
    const file = join(folder, 'ca.pem')
    writeFileSync(file, `# a comment\n${one}\n${one}\n`)
    expect(readCertificates(file)).toEqual([one, one])
  })

  test.each(['none.pem', 'policy.json'])('%s is refused and named', (name) => {
    expect(() => readCertificates(join(folder, name))).toThrow(name)
  })
})
