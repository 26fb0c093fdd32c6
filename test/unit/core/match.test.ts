import { describe, expect, test } from 'vitest'
import { compileMatch, globMatches, type Match } from '../../../lambda/core/match.ts'
import type { Session } from '../../../lambda/core/session.ts'
import { session } from '../../support/session.ts'

test.each([
  ['shop', 'shop', true],
  ['shop', 'Shop', false],
  ['shop', 'shops', false],
  ['shop_*', 'shop_app', true],
  ['shop_*', 'shop_', true],
  ['shop_*', 'shopx', false],
  ['*', '', true],
  ['*_ro', 'shop_ro_ro', true],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['v?', 'v1', true],
  ['v?', 'v', false],
  ['v?', 'v12', false],
  ['?*', '', false],
  ['a.c', 'abc', false],
  ['[ab]', 'a', false],
  ['**', 'anything', true],
])('glob %s on %s: %s', (glob, text, expected) => {
  expect(globMatches(glob, text)).toBe(expected)
})

test('a glob with many stars is matched in linear time', () => {
  expect(globMatches(`${'*a'.repeat(30)}*b`, 'a'.repeat(60))).toBe(false)
})

describe('a match', () => {
  test.each<[string, Match, Partial<Session>, boolean]>([
    ['of nothing matches all', {}, {}, true],
    ['any entry of a field', { users: ['x', 'shop_*'] }, {}, true],
    ['every field', { users: ['shop_*'], databases: ['other'] }, {}, false],
    ['no name of a session without one', { users: ['*'] }, { user: null }, false],
    ['a database', { databases: ['shop'] }, {}, true],
    ['an application', { applications: ['pg_dump'] }, {}, false],
    ['an empty application name', { applications: ['*'] }, { application: '' }, true],
    ['a network', { clients: ['10.0.0.0/16'] }, {}, true],
    ['another network', { clients: ['10.9.0.0/16'] }, {}, false],
    ['one address', { clients: ['10.0.1.7/32'] }, {}, true],
    ['a network of IPv6', { clients: ['fd00::/8'] }, { client: 'fd12::1' }, true],
    ['IPv6 against IPv4', { clients: ['0.0.0.0/0'] }, { client: 'fd12::1' }, false],
    ['the socket', { clients: ['local'] }, { client: 'local' }, true],
    ['no network holds the socket', { clients: ['0.0.0.0/0', '::/0'] }, { client: 'local' }, false],
    ['the socket is no network', { clients: ['local'] }, {}, false],
  ])('%s', (_, match, different, expected) => {
    expect(compileMatch(match, 180004)(session(different))).toBe(expected)
  })

  // As the server of each release writes the name on its left; held by applications.test.ts on real ones.
  test.each<[string, string, number, boolean]>([
    ['caf\\xc3\\xa9', 'café', 160000, true],
    ['caf\\xc3\\xa9', 'caf*', 160000, true],
    ['caf\\xc3\\xa9-1', 'café-?', 160000, true],
    ['caf\\xc3\\xa9', 'caf\\xc3\\xa9', 160000, true],
    ['caf??', 'café', 160000, false],
    ['caf??', 'café', 150000, true],
    ['cafxy', 'café', 150000, false],
    ['tab\\x09', 'tab\t', 180000, true],
    // 72 bytes before the wildcard: the server keeps 63 of them.
    [
      '日本語アプリ'
        .replaceAll(/./gu, (one) =>
          [...Buffer.from(one)].map((byte) => `\\x${byte.toString(16)}`).join(''),
        )
        .slice(0, 63),
      '日本語アプリ*',
      180000,
      true,
    ],
    ['?'.repeat(18), '日本語アプリ*', 150000, true],
    ['é'.repeat(20).replaceAll('é', '\\xc3\\xa9').slice(0, 63), 'é'.repeat(20), 180000, true],
  ])(
    'application %s matches %s on version %i: %s',
    (application, glob, serverVersion, expected) => {
      expect(compileMatch({ applications: [glob] }, serverVersion)(session({ application }))).toBe(
        expected,
      )
    },
  )

  test('role and database names are not escaped in that way', () => {
    const matches = compileMatch({ users: ['renée'], databases: ['größe'] }, 150000)
    expect(matches(session({ user: 'renée', database: 'größe' }))).toBe(true)
  })
})
