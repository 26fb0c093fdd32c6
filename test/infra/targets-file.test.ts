import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readContext } from '../../infra/context.ts'
import { refusalOf, target } from '../support/refusals.ts'

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-targets-file-'))
afterAll(() => rmSync(folder, { recursive: true }))
const read = (text: string, different: object = {}) => {
  writeFileSync(join(folder, 'fleet.json'), text)
  return readContext({ targetsFile: 'fleet.json', ...different }, {}, folder)
}

describe('targetsFile', () => {
  test('is a list of targets, beside cdk.json', () => {
    const text = `\uFEFF${JSON.stringify([target])}`
    expect(read(text)).toMatchObject(readContext({ targets: [target] }))
  })

  test.each<[string, string, object, string]>([
    [
      'a wrong key',
      JSON.stringify([target, { ...target, name: 'b', hots: 1 }]),
      {},
      'fleet.json[1].hots: unknown key (did you mean "host"?)',
    ],
    [
      'a wrong value',
      JSON.stringify([{ ...target, port: '5432' }]),
      {},
      'fleet.json[0].port: expected a whole number',
    ],
    [
      'a wrong policy',
      JSON.stringify([{ ...target, policy: {} }]),
      {},
      'fleet.json[0].policy.rules: missing',
    ],
    [
      'a name twice',
      JSON.stringify([target, target]),
      {},
      'fleet.json[1].name: expected a unique name',
    ],
    ['no list', '{}', {}, 'fleet.json: expected a list of one or more targets'],
    ['no target', '[]', {}, 'fleet.json: expected one or more targets'],
    ['no JSON', '[', {}, 'fleet.json: expected a JSON list of targets'],
    ['a key twice', '[{"name": "a", "name": "b"}]', {}, 'fleet.json[0].name: the key occurs twice'],
    ['no such file', '[]', { targetsFile: 'none.json' }, 'context slotkeeper.targetsFile: ENOENT'],
    ['both', '[]', { targets: [target] }, 'expected either targets or targetsFile, found both'],
    ['a number', '[]', { targetsFile: 5 }, 'slotkeeper.targetsFile: expected a file'],
  ])('refuses %s', (_, text, different, said) => {
    expect(refusalOf(() => read(text, different))).toContain(said)
  })
})
