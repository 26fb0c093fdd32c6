import { describe, expect, test } from 'vitest'
import { credentialsOf } from '../../../lambda/aws/credentials.ts'
import { parsePolicyText } from '../../../lambda/core/policy.ts'
import { repeatedKeys } from '../../../lambda/core/repeated-keys.ts'
import { inTime, json } from '../../support/hostile.ts'
import { fc } from '../../support/seeded.ts'

test.each<[string, (string | number)[][]]>([
  ['{"a": 1, "a": 2}', [['a']]],
  ['{"a": 1, "\\u0061": 2}', [['a']]],
  ['{"a": 1, "A": 2, "b": {"a": 3}, "c": [{"a": 4}, {"a": 5}]}', []],
  ['{"a": 1, "a": 2, "a": 3}', [['a']]],
  ['{"a": {"b": 1}, "c": {"b": 1, "b": 2}}', [['c', 'b']]],
  ['[[], [0, {"x": [1, 2], "y": 1, "x": {}}]]', [[1, 1, 'x']]],
  ['[{"a": 1}, [1, 2], {"a": [{}, {"b": 1, "b": 2}]}]', [[2, 'a', 1, 'b']]],
  ['{"a": "\\"a\\": 1, \\"a\\"", "b": ["a", "a"], "c": "{\\\\"}', []],
  ['{"": 1, "": 2}', [['']]],
  ['{"__proto__": 1, "__proto__": 2}', [['__proto__']]],
  ['{"a": {"x": 1}, "a": {"x": 1}}', [['a']]],
  ['{"a" \n:\t1 ,\r\n "a" : [ ] }', [['a']]],
  ['{"a": 1, "b": 2, "b": 3, "a": 4}', [['b'], ['a']]],
  ['"a"', []],
  ['null', []],
])('%s', (text, paths) => {
  JSON.parse(text)
  expect(repeatedKeys(text)).toEqual(paths)
})

test('JSON.stringify never writes a repeated key', () => {
  fc.assert(
    fc.property(json, fc.constantFrom(0, 2), (value, indent) => {
      expect(repeatedKeys(JSON.stringify(value, undefined, indent))).toEqual([])
    }),
  )
})

test('handles a text of millions of characters or levels', () => {
  const long = JSON.stringify({ a: 'x'.repeat(5e6), b: '\\"'.repeat(1e6) })
  expect(inTime(() => repeatedKeys(long))).toEqual([])
  const deep = `${'{"a":['.repeat(1e5)}1${']}'.repeat(1e5)}`
  expect(inTime(() => repeatedKeys(deep))).toEqual([])
})

const rule = '{"name": "a", "state": "idle", "olderThan": "1m"}'

describe('a policy', () => {
  test.each([
    [
      `{"protect": [{"users": ["a"]}], "rules": [${rule}], "protect": [{"users": ["b"]}]}`,
      'policy.protect',
    ],
    [
      `{"rules": [${rule}, {"name": "b", "state": "idle", "olderThan": "1h", "olderThan": "1s"}]}`,
      'policy.rules[1].olderThan',
    ],
    [`{"rules": [${rule}], "scope": {"users": ["a"], "users": ["b"]}}`, 'policy.scope.users'],
    [`{"rules": [${rule}], "rules": [${rule}]}`, 'policy.rules'],
  ])('%s is refused with the path of the key', (text, path) => {
    expect(parsePolicyText(text)).toEqual({
      ok: false,
      problems: [
        expect.stringMatching(`^${path.replace(/[.[\]]/g, '\\$&')}: the key occurs twice`),
      ],
    })
  })
})

describe('a secret', () => {
  test.each([
    [
      '{"username": "u", "password": "hush-one", "password": "hush-two", "host": "h"}',
      'secret.password',
    ],
    ['{"username": "u", "username": "v", "password": "hush-one", "host": "h"}', 'secret.username'],
    [
      '{"username": "u", "password": "hush-one", "host": "h", "more": {"host": 1, "host": 2}}',
      'secret.more.host',
    ],
  ])('%s is refused with the path of the key, without its value', (text, path) => {
    const read = () => credentialsOf('arn:x', text, {})
    expect(read).toThrow(
      expect.objectContaining({
        kind: 'credentials',
        message: expect.stringContaining(`secret arn:x: ${path}: the key occurs twice`),
      }),
    )
    expect(read).not.toThrow('hush')
  })
})
