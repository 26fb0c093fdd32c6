import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App, Fn, Stack } from 'aws-cdk-lib'
import { afterAll, describe, expect, test } from 'vitest'
import type { SessionReaperProps } from '../../infra/index.ts'
import { readCertificates } from '../../lambda/postgres/tls.ts'
import { readSettings } from '../../lambda/settings.ts'
import { environmentOf, newStack, reaper, rules, SECRET_ARN, secretOf } from '../support/reaper.ts'

describe('the function reads its deployed variables', () => {
  test.each<[string, Partial<SessionReaperProps>, object]>([
    [
      'by default',
      {},
      { target: 'Shop', mode: 'reap', auth: { via: 'secret', secretArn: SECRET_ARN } },
    ],
    ['observing', { mode: 'observe', target: 'shop' }, { mode: 'observe', target: 'shop' }],
    ['observing, with a recording by default', { mode: 'observe' }, { record: true }],
    ['observing, without a recording', { mode: 'observe', record: false }, { record: false }],
    ['reaping, without a recording by default', { mode: 'reap' }, { record: false }],
    ['reaping, with a recording', { mode: 'reap', record: true }, { record: true }],
    ['with a policy', { policy: { rules, budget: 9 } }, { policy: { budget: 9 } }],
    [
      'with IAM',
      { auth: { iamUser: 'u' }, database: { host: 'h', port: 6432, resourceId: 'db-A' } },
      { auth: { via: 'iam', host: 'h', user: 'u' }, overrides: { port: 6432 } },
    ],
    [
      'with log lines',
      { metrics: 'emf', metricSet: 'essential', namespace: 'Mine', databaseName: 'd' },
      {
        metrics: { via: 'emf', set: 'essential', namespace: 'Mine' },
        overrides: { database: 'd' },
      },
    ],
  ])('%s', (_, different, expected) => {
    const settings = readSettings(environmentOf(reaper(different).template), '.')
    expect(settings).toMatchObject(expected)
    expect(settings.caFile).toMatch(/rds-ca\.pem$/)
  })

  test('refuses a policy whose values are known only at deployment', () => {
    const users = [...Array(60).fill('x'.repeat(50)), Fn.importValue('AppRole')]
    expect(() => reaper({ policy: { rules, protect: [{ users }] } })).toThrow(
      'write the value itself',
    )
  })

  test('deploys a long policy as a file', () => {
    const users = Array.from({ length: 300 }, (_, index) => `a_rather_long_user_name_${index}`)
    const { template, stack } = reaper({ policy: { rules, protect: [{ users }] } })
    expect(environmentOf(template).SLOTKEEPER_POLICY).toBe('file:policy.json')
    const [code] = Object.values(
      template.findResources('AWS::Lambda::Function', { Properties: { MemorySize: 128 } }),
    )
    const outdir = (stack.node.root as App).synth().directory
    const hash = code?.Properties.Code.S3Key.replace('.zip', '')
    expect(
      readSettings({ ...environmentOf(template) }, `${outdir}/asset.${hash}`).policy.protect?.[0]
        ?.users,
    ).toEqual(users)
  })

  describe('certificate authorities', () => {
    const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-authorities-'))
    afterAll(() => rmSync(folder, { recursive: true }))
    const file = (name: string) => join(folder, name)
    const openssl = (args: string, ...more: string[]) =>
      execFileSync('openssl', [...args.split(' '), ...more], { cwd: folder, stdio: 'pipe' })
    const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
    // As RDS names one.
    const subject = '/CN=Amazon RDS il-central-1 Root CA RSA2048 G1'
    openssl(`req -x509 ${key} -days 2 -keyout ours.key -out ours.pem -subj`, subject)
    openssl(`req ${key} -keyout server.key -out server.csr -subj /CN=server`)
    openssl('x509 -req -in server.csr -CA ours.pem -CAkey ours.key -days 2 -out server.pem')
    writeFileSync(file('hush.pem'), 'hush')
    const inIsrael = { host: 'shop.abc.il-central-1.rds.amazonaws.com' }

    test('are deployed with both functions, marked with their region', () => {
      const { template, stack } = reaper({
        database: inIsrael,
        certificateAuthorities: file('ours.pem'),
        createRole: { adminSecret: secretOf(newStack()) },
      })
      const outdir = (stack.node.root as App).synth().directory
      const written = Object.values(template.findResources('AWS::Lambda::Function'))
        .map(({ Properties }) => String(Properties.Code.S3Key).replace('.zip', ''))
        .map((hash) => join(outdir, `asset.${hash}`, 'rds-ca.pem'))
        .filter(existsSync)
      expect(written).toHaveLength(2)
      const own = readFileSync(file('ours.pem'), 'utf8').trim()
      for (const ca of written) {
        expect(readCertificates(ca, 'il-central-1')).toContain(own)
        expect(readCertificates(ca, 'eu-central-1')).not.toContain(own)
        expect(readCertificates(ca, 'eu-central-1').length).toBeGreaterThan(2)
      }
    })

    test.each<[string, Partial<SessionReaperProps>, string]>([
      [
        'of a region that the package lacks, and no file',
        { database: inIsrael },
        'Test/Shop: certificateAuthorities: missing; the package has no certificate authorities of RDS in il-central-1',
      ],
      [
        'of the region of the stack, and no file',
        { database: { host: Fn.importValue('host') } },
        'no certificate authorities of RDS in ca-west-1',
      ],
      [
        'of China, and no file',
        { database: { host: 'shop.abc.rds.cn-north-1.amazonaws.com.cn' } },
        'no certificate authorities of RDS in cn-north-1',
      ],
      [
        'a file that is not there',
        { certificateAuthorities: '/none.pem' },
        "Test/Shop: certificateAuthorities: ENOENT: no such file or directory, open '/none.pem'",
      ],
      [
        'a file that is no PEM',
        { certificateAuthorities: file('hush.pem') },
        'hush.pem holds no certificate; expected PEM',
      ],
      [
        "a server's certificate",
        { certificateAuthorities: file('server.pem') },
        'certificate 1 in',
      ],
    ])('%s fails the synthesis', (_, props, said) => {
      const region = said.includes('ca-west-1') ? 'ca-west-1' : 'eu-central-1'
      const stack = new Stack(new App(), 'Test', { env: { account: '111122223333', region } })
      expect(() => reaper(props, stack)).toThrow(said)
    })
  })

  test.each(['observ', undefined])('mode %s fails the synthesis', (mode) => {
    // As an app in JavaScript has it.
    expect(() => reaper({ mode: mode as 'observe' })).toThrow(
      'Test/Shop: mode: expected "reap", "observe"',
    )
  })

  test('deploys the policy "incident" by its name', () => {
    expect(environmentOf(reaper().template).SLOTKEEPER_POLICY).toBe('incident')
  })

  test('a missing policy fails the synthesis in mode reap and sets no variable in mode observe', () => {
    expect(() => reaper({ policy: undefined })).toThrow(
      'Test/Shop: policy: missing; in mode "reap" expected a policy with rules, or "incident"',
    )
    const environment = environmentOf(reaper({ mode: 'observe', policy: undefined }).template)
    expect(environment).not.toHaveProperty('SLOTKEEPER_POLICY')
    expect(readSettings(environment, '.')).toMatchObject({ mode: 'observe', policyGiven: false })
  })

  test.each([
    ['no rules', {}, 'Test/Shop: policy.rules: missing; expected one or more rules'],
    ['a scope alone', { scope: { users: ['a'] } }, 'Test/Shop: policy.rules: missing'],
    ['another name', 'strict', 'Test/Shop: policy: expected an object'],
    ['null', null, 'Test/Shop: policy: expected an object'],
  ])('%s is refused as a policy in either mode', (_, policy, said) => {
    for (const mode of ['reap', 'observe'] as const) {
      // As an app in JavaScript has it.
      expect(() => reaper({ mode, policy: policy as never })).toThrow(said)
    }
  })

  test('an invalid policy fails the synthesis with the path of the problem', () => {
    expect(() => reaper({ policy: { rules, keep: -1 } })).toThrow(
      'Test/Shop: policy.keep: expected a whole number from 0, found -1',
    )
  })
})
