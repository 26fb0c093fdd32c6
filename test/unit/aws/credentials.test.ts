import { describe, expect, test } from 'vitest'
import { credentialsOf } from '../../../lambda/aws/credentials.ts'

const full = {
  engine: 'postgres',
  host: 'db',
  username: 'u',
  password: 'hush',
  dbname: 'shop',
  port: 6432,
}
const parse = (secret: unknown, overrides = {}) =>
  credentialsOf('arn:x', typeof secret === 'string' ? secret : JSON.stringify(secret), overrides)

describe('a secret', () => {
  test.each([
    [
      "the rotation template's shape",
      full,
      {},
      { host: 'db', port: 6432, user: 'u', database: 'postgres', secondDatabase: 'shop' },
    ],
    ['a port as a text', { ...full, port: '6432' }, {}, { port: 6432 }],
    [
      "RDS's own shape",
      { username: 'u', password: 'hush' },
      { host: 'h' },
      { host: 'h', port: 5432, user: 'u', database: 'postgres' },
    ],
    [
      'what the configuration says goes first',
      full,
      { host: 'h', port: 1, user: 'v', database: 'd' },
      { host: 'h', port: 1, user: 'v', database: 'd' },
    ],
    ['further fields', { ...full, masterarn: 'arn:y' }, {}, { host: 'db' }],
    [
      'fields that are null',
      { ...full, host: null, port: null, dbname: null },
      { host: 'h' },
      { host: 'h', port: 5432, database: 'postgres' },
    ],
    [
      'fields that are empty',
      { ...full, host: '', port: '', dbname: '' },
      { host: 'h' },
      { host: 'h', port: 5432, database: 'postgres' },
    ],
    ['a byte order mark', `\uFEFF${JSON.stringify(full)}`, {}, { host: 'db' }],
    ['a host with its port', { ...full, host: 'db:6432' }, {}, { host: 'db', port: 6432 }],
    [
      'a host with its port alone',
      { ...full, host: 'db:7000', port: undefined },
      {},
      { host: 'db', port: 7000 },
    ],
    ['an IPv6 address', { ...full, host: '::1' }, {}, { host: '::1', port: 6432 }],
    [
      'a password with a line end, as it is',
      { ...full, password: 'hush\n' },
      {},
      { password: 'hush\n' },
    ],
  ])('%s', (_, secret, overrides, expected) => {
    expect(parse(secret, overrides)).toMatchObject({ password: 'hush', ...expected })
  })

  test.each<[string, object, object]>([
    ['the configuration names one', full, { database: 'd' }],
    ['the secret names none', { ...full, dbname: null }, {}],
    ['the secret names the same', { ...full, dbname: 'postgres' }, {}],
  ])('has no second database when %s', (_, secret, overrides) => {
    expect(parse(secret, overrides)).not.toHaveProperty('secondDatabase')
  })

  test.each<[string, unknown, string]>([
    ['no JSON', 'hush', 'is not JSON'],
    ['a text', '"hush"', 'username and password'],
    ['no password', { username: 'hush' }, 'password'],
    ['an empty password', { ...full, password: '' }, 'password'],
    ['a password that is no text', { ...full, password: ['hush'] }, 'password'],
    ['no username', { password: 'hush' }, 'username'],
    ['a port that is none', { ...full, port: 'hush' }, 'port'],
    ['a password that is null', { ...full, password: null }, 'password'],
    ['a username that is empty', { ...full, username: '' }, 'username'],
    ['UTF-16', Buffer.from(JSON.stringify(full), 'utf16le').toString('latin1'), 'UTF-16'],
    ['a host that is a URL', { ...full, host: 'postgres://hush@db/x' }, 'host'],
    ['a host with another port', { ...full, host: 'db:7000' }, 'host'],
    ['a host with port 0', { ...full, host: 'db:0', port: undefined }, 'host'],
    ['a host with blanks', { ...full, host: 'db hush' }, 'host'],
    ['no host at all', { username: 'u', password: 'hush' }, 'host'],
  ])('with %s is refused by its name, without its value', (_, secret, field) => {
    const error = (() => {
      try {
        return parse(secret)
      } catch (error) {
        return error as Error
      }
    })() as Error
    expect(error).toMatchObject({ kind: 'credentials', message: expect.stringContaining('arn:x') })
    expect(error.message).toContain(field)
    expect(`${error.message}${error.stack}${String(error.cause)}`).not.toContain('hush')
  })

  test('binary data is refused', () => {
    expect(() => credentialsOf('arn:x', undefined, {})).toThrow('binary')
  })
})
