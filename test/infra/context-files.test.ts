import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { refuseRepeatedKeys } from '../../infra/context-files.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slotkeeper-context-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const protectTwice = '{"targets": [{"policy": {"protect": [1], "protect": [2]}}]}'
const given = { targets: [{ policy: { protect: [2] } }] }
const protect = 'slotkeeper.targets[0].policy.protect: the key occurs twice in one object'

test.each<[string, string, string, unknown, string]>([
  [
    'in cdk.json',
    'cdk.json',
    `{"context": {"slotkeeper": ${protectTwice}}}`,
    given,
    `cdk.json.context.${protect}`,
  ],
  [
    'in cdk.context.json',
    'cdk.context.json',
    `{"slotkeeper": ${protectTwice}}`,
    given,
    `cdk.context.json.${protect}`,
  ],
  [
    'the context itself',
    'cdk.json',
    '{"context": {"slotkeeper": 1}, "context": {"slotkeeper": 2}}',
    2,
    'cdk.json.context: the key occurs twice',
  ],
  [
    'the context, the second without it',
    'cdk.json',
    '{"context": {"slotkeeper": 1}, "context": {}}',
    undefined,
    'cdk.json.context: the key occurs twice',
  ],
  [
    'its own key',
    'cdk.json',
    '{"context": {"slotkeeper": 1, "slotkeeper": 2}}',
    2,
    'cdk.json.context.slotkeeper: the key occurs twice',
  ],
])('%s', (_, file, json, context, said) => {
  writeFileSync(join(folder, file), json)
  expect(() => refuseRepeatedKeys(context, folder)).toThrow(said)
})

test.each<[string, string, string, unknown]>([
  ['a file that is not there', 'other.json', '{}', given],
  [
    'a file that is not the source',
    'cdk.json',
    `{"context": {"slotkeeper": ${protectTwice}}}`,
    { targets: [] },
  ],
  [
    'a key of somebody else',
    'cdk.json',
    '{"app": 1, "app": 2, "context": {"slotkeeper": 2, "x": {"y": 1, "y": 2}}}',
    2,
  ],
  ['a file that is no JSON', 'cdk.json', '{', given],
  ['a file of null', 'cdk.json', 'null', undefined],
])('accepts %s', (_, file, json, context) => {
  writeFileSync(join(folder, file), json)
  expect(() => refuseRepeatedKeys(context, folder)).not.toThrow()
})

describe('the app', () => {
  const one = {
    name: 'shop',
    host: 'shop.abc.rds.amazonaws.com',
    secretArn: 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop-AbCdEf',
    mode: 'observe',
  }
  const example = JSON.parse(readFileSync('cdk.json', 'utf8')).context.slotkeeper

  test('refuses to synthesize a placeholder', () => {
    const CDK_CONTEXT_JSON = JSON.stringify({ slotkeeper: example })
    const run = () =>
      execFileSync('npx', ['tsx', 'infra/app.ts'], {
        env: { ...process.env, CDK_CONTEXT_JSON, CDK_DEFAULT_ACCOUNT: '111122223333' },
        stdio: 'pipe',
      })
    expect(run).toThrow('is a placeholder')
  })

  test('refuses a repeated key in the file of the context', () => {
    const twice = JSON.stringify({ ...one, policy: 'incident' }).replace('{', '{"mode":"reap",')
    const context = { slotkeeper: { targets: [JSON.parse(twice)] } }
    writeFileSync(join(folder, 'cdk.json'), `{"context": {"slotkeeper": {"targets": [${twice}]}}}`)
    // From the folder where the CDK's command line finds its files.
    const run = (given: object) => () =>
      execFileSync(
        process.execPath,
        ['--import', import.meta.resolve('tsx'), resolve('infra/app.ts')],
        {
          cwd: folder,
          env: { ...process.env, CDK_CONTEXT_JSON: JSON.stringify(given) },
          stdio: 'pipe',
          encoding: 'utf8',
        },
      )
    expect(run(context)).toThrow(
      expect.objectContaining({
        status: 1,
        stderr: expect.stringMatching(
          /^slotkeeper: cdk\.json\.context\.slotkeeper\.targets\[0\]\.mode: the key occurs twice [^\n]+\n$/,
        ),
      }),
    )
  })

  test('refuses a secret in another region than the stack', () => {
    const run = () =>
      execFileSync('npx', ['tsx', 'infra/app.ts'], {
        env: {
          ...process.env,
          CDK_CONTEXT_JSON: JSON.stringify({ slotkeeper: { targets: [one] } }),
          CDK_DEFAULT_ACCOUNT: '111122223333',
          CDK_DEFAULT_REGION: 'us-east-1',
        },
        stdio: 'pipe',
      })
    expect(run).toThrow('secretArn: the secret is in eu-central-1, the stack in us-east-1')
  })

  test('prints one line and no stack trace', () => {
    const run = () =>
      execFileSync('npx', ['tsx', 'infra/app.ts'], {
        env: { ...process.env, CDK_CONTEXT_JSON: JSON.stringify({ slotkeeper: { targets: [] } }) },
        stdio: 'pipe',
        encoding: 'utf8',
      })
    expect(run).toThrow(
      expect.objectContaining({
        status: 1,
        stderr: expect.stringMatching(
          /^(npm warn.*\n)*slotkeeper: context slotkeeper.targets: [^\n]+\n$/,
        ),
      }),
    )
  })
})
