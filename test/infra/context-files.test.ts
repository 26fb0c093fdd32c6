import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
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
])('%s says nothing', (_, file, json, context) => {
  writeFileSync(join(folder, file), json)
  expect(() => refuseRepeatedKeys(context, folder)).not.toThrow()
})
