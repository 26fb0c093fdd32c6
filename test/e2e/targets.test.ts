import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readContext } from '../../infra/context.ts'
import { EXAMPLE_KEYS } from '../../stand-ins/aws.ts'
import { type Item, startRds } from '../../stand-ins/rds.ts'

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-targets-'))
afterAll(() => rmSync(folder, { recursive: true }))

const instances: Item[] = Array.from({ length: 7 }, (_, index) => ({
  DBInstanceIdentifier: `shop-${7 - index}`,
  DBInstanceArn: `arn:aws:rds:eu-central-1:111122223333:db:shop-${7 - index}`,
  DBInstanceStatus: 'available',
  DbiResourceId: `db-ABC${index}`,
  Engine: index === 3 ? 'mysql' : 'postgres',
  Endpoint: {
    Address: `shop-${7 - index}.c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com`,
    Port: 5432,
  },
  IAMDatabaseAuthenticationEnabled: true,
  TagList: [
    { Key: 'team', Value: 'a&b' },
    { Key: 'even', Value: index % 2 === 0 ? 'yes' : 'no' },
  ],
}))
const clusters: Item[] = [
  {
    DBClusterIdentifier: 'ledger',
    DBClusterArn: 'arn:aws:rds:eu-central-1:111122223333:cluster:ledger',
    Status: 'available',
    DbClusterResourceId: 'cluster-ABC',
    Engine: 'aurora-postgresql',
    Endpoint: 'ledger.cluster-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com',
    Port: 5432,
    IAMDatabaseAuthenticationEnabled: false,
    ServerlessV2ScalingConfiguration: { MinCapacity: 0, MaxCapacity: 4 },
    TagList: [{ Key: 'team', Value: 'a&b' }],
  },
]
// An answer lists two servers, so that there is more than one.
const rds = await startRds({ instances, clusters }, 2)
const empty = await startRds({ instances: [], clusters: [] })
afterAll(() => Promise.all([rds.close(), empty.close()]))

/** Runs `slotkeeper targets` with a profile that has the example keys. */
async function targets(args: string[], env: Record<string, string> = {}) {
  const config = join(folder, 'config')
  writeFileSync(
    config,
    `[profile prod]\naws_access_key_id = ${EXAMPLE_KEYS.AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${EXAMPLE_KEYS.AWS_SECRET_ACCESS_KEY}\nregion = eu-central-1\n`,
  )
  return new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
    execFile(
      process.execPath,
      ['dist/cli.mjs', 'targets', '--profile', 'prod', ...args],
      {
        env: {
          PATH: process.env.PATH,
          AWS_CONFIG_FILE: config,
          AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none'),
          AWS_EC2_METADATA_DISABLED: 'true',
          AWS_MAX_ATTEMPTS: '1',
          AWS_ENDPOINT_URL: rds.url,
          ...env,
        },
      },
      (error, stdout, stderr) => done({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })
}

describe('slotkeeper targets', () => {
  test('prints all PostgreSQL servers of all pages as targets', async () => {
    const { code, stdout, stderr } = await targets([])
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr:
        'slotkeeper: warning: ledger: IAM authentication is off, and its target logs in with IAM tokens\n',
    })
    const context = readContext({ targets: JSON.parse(stdout) })
    expect(context.targets.map(({ name }) => name)).toEqual([
      'ledger',
      'shop-1',
      'shop-2',
      'shop-3',
      'shop-5',
      'shop-6',
      'shop-7',
    ])
    expect(context.targets[0]).toMatchObject({ cluster: true, autoPause: true, mode: 'observe' })
    expect(rds.requests.filter(({ Marker }) => Marker !== undefined)).toHaveLength(3)
  })

  test('takes several tags, and secrets', async () => {
    const { stdout } = await targets([
      '--tag',
      'team=a&b',
      '--tag',
      'even=yes',
      '--secret',
      '{name}/x',
    ])
    expect(JSON.parse(stdout).map(({ secretArn }: { secretArn: string }) => secretArn)).toEqual(
      [1, 3, 5, 7].map(
        (n) => `arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop-${n}/x`,
      ),
    )
  })

  test('brings a file up to date, and names the stacks that sweep on', async () => {
    const out = join(folder, 'targets.json')
    const first = await targets(['--out', out])
    expect(first).toMatchObject({ code: 0, stdout: '' })
    const edited = JSON.parse(readFileSync(out, 'utf8'))
    edited[1] = { ...edited[1], mode: 'reap', policy: 'incident' }
    edited.push({ name: 'gone', host: 'gone.corp.internal' })
    writeFileSync(out, JSON.stringify(edited))
    const second = await targets(['--out', out])
    expect(second.stderr).toContain('7 targets, 0 added, 0 changed, 1 removed')
    expect(second.stderr).toContain('delete-stack --stack-name Slotkeeper-gone')
    expect(JSON.parse(readFileSync(out, 'utf8'))[1]).toMatchObject({
      mode: 'reap',
      policy: 'incident',
    })
  })

  test.each<[string, string[], Record<string, string>, number, string]>([
    ['no server with these tags', ['--tag', 'team=none'], {}, 2, 'RDS lists no such server'],
    ['no server at all', [], { AWS_ENDPOINT_URL: empty.url }, 2, 'Nothing was written'],
    ['two ways to log in', ['--iam-user', 'a', '--secret', 'b'], {}, 2, 'found both'],
    ['a tag without a key', ['--tag', '=x'], {}, 2, 'expected KEY=VALUE, or KEY'],
    ['an unknown profile', ['--profile', 'none'], {}, 3, 'RDS did not list its servers'],
  ])('refuses %s', async (_, args, env, expected, said) => {
    const { code, stdout, stderr } = await targets(args, env)
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' })
    expect(stderr).toContain(said)
  })

  test('does not overwrite what is no list of targets', async () => {
    const out = join(folder, 'other.json')
    writeFileSync(out, '{"mine": 1}')
    const { code, stderr } = await targets(['--out', out])
    expect(code).toBe(2)
    expect(stderr).toContain('it was not changed')
    expect(readFileSync(out, 'utf8')).toBe('{"mine": 1}')
  })
})
