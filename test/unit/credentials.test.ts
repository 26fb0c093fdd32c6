import { describe, expect, test } from 'vitest'
import { readConnection } from '../../cli/connection.ts'
import { parseSecret } from '../../lambda/aws/credentials.ts'

const full = {
  engine: 'postgres',
  host: 'db',
  username: 'u',
  password: 'hush',
  dbname: 'shop',
  port: 6432,
}
const parse = (secret: unknown, overrides = {}) =>
  parseSecret('arn:x', typeof secret === 'string' ? secret : JSON.stringify(secret), overrides)

describe('a secret', () => {
  test.each([
    [
      "the rotation template's shape",
      full,
      {},
      { host: 'db', port: 6432, user: 'u', database: 'shop' },
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
  ])('%s', (_, secret, overrides, expected) => {
    expect(parse(secret, overrides)).toMatchObject({ password: 'hush', ...expected })
  })

  test.each<[string, unknown, string]>([
    ['no JSON', 'hush', 'is not JSON'],
    ['a text', '"hush"', 'username and password'],
    ['no password', { username: 'hush' }, 'password'],
    ['an empty password', { ...full, password: '' }, 'password'],
    ['a password that is no text', { ...full, password: ['hush'] }, 'password'],
    ['no username', { password: 'hush' }, 'username'],
    ['a port that is none', { ...full, port: 'hush' }, 'port'],
    ['no host at all', { username: 'u', password: 'hush' }, 'host'],
  ])('with %s is refused by name, without its value', (_, secret, field) => {
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
    expect(() => parseSecret('arn:x', undefined, {})).toThrow('binary')
  })
})

describe('where the command line connects', () => {
  const pg = { PGHOST: 'env', PGPORT: '1', PGUSER: 'pu', PGPASSWORD: 'pp', PGDATABASE: 'pd' }
  test.each<[string, object, Record<string, string>, object]>([
    [
      'a URL',
      { url: 'postgres://u:p@h:6432/d' },
      {},
      { host: 'h', port: 6432, user: 'u', password: 'p', database: 'd' },
    ],
    [
      'with encoded characters',
      { url: 'postgresql://u%40x:p%2F%3F@h/d%20e' },
      {},
      { user: 'u@x', password: 'p/?', database: 'd e', port: 5432 },
    ],
    ['DATABASE_URL', {}, { DATABASE_URL: 'postgres://u:p@h/d' }, { host: 'h', user: 'u' }],
    [
      'the URL before DATABASE_URL',
      { url: 'postgres://u:p@one/d' },
      { DATABASE_URL: 'postgres://u:p@two/d' },
      { host: 'one' },
    ],
    [
      'the PG* variables',
      {},
      pg,
      { host: 'env', port: 1, user: 'pu', password: 'pp', database: 'pd' },
    ],
    [
      'which fill what a URL leaves open',
      { url: 'postgres://h' },
      pg,
      { host: 'h', port: 1, user: 'pu', password: 'pp', database: 'pd' },
    ],
    [
      "the URL's parameters, as libpq reads them",
      { url: 'postgres:///d?host=one&port=6432&user=u&password=p%26&dbname=x' },
      pg,
      { host: 'one', port: 6432, user: 'u', password: 'p&', database: 'x' },
    ],
    [
      'a password that looks like a parameter',
      { url: 'postgres://u:p&service=x@one/d' },
      {},
      { host: 'one', password: 'p&service=x' },
    ],
    ['an IPv6 address', { url: 'postgres://u:p@[::1]:6432/d' }, {}, { host: '::1', port: 6432 }],
  ])('%s', async (_, source, env, expected) => {
    expect(await readConnection(source, env).credentials(false)).toMatchObject(expected)
  })

  test.each<[string, string, boolean]>([
    ['postgres://h', 'verify-full', true],
    ['postgres://h?sslmode=require', 'verify-full', true],
    ['postgres://h?sslmode=verify-full', 'verify-full', true],
    ['postgres://h?sslmode=verify-ca', 'verify-ca', false],
  ])('%s is %s', (url, _, verifyName) => {
    expect(readConnection({ url }, {}).tls).toMatchObject({ verifyName })
  })

  test.each(['postgres://127.0.0.1', 'postgres://localhost', 'postgres://h?sslmode=disable'])(
    '%s is plain',
    (url) => {
      expect(readConnection({ url }, {}).tls).toBe(false)
    },
  )

  test.each<[string, object, Record<string, string>, string]>([
    ['nothing', {}, {}, 'no server given'],
    ['two sources', { url: 'postgres://h', secretArn: 'x' }, {}, 'exclude each other'],
    ['another scheme', { url: 'mysql://u:hush@h' }, {}, 'postgres://'],
    ['a broken URL', { url: 'postgres://u:hush@h:port/d' }, {}, 'postgres://'],
    [
      'a parameter that leads to another server',
      { url: 'postgres://u:hush@h/d?hostaddr=10.0.0.1' },
      {},
      'hostaddr is not understood',
    ],
    ['a port that is none', {}, { PGHOST: 'h', PGPORT: 'x' }, 'port: found "x"'],
    [
      'a mode that verifies nothing',
      { url: 'postgres://u:hush@h?sslmode=prefer' },
      {},
      'sslmode: found "prefer"',
    ],
    [
      'a certificate file that is not there',
      { url: 'postgres://h?sslrootcert=/none.pem' },
      {},
      '/none.pem',
    ],
  ])('%s is refused, without the password', (_, source, env, said) => {
    const read = () => readConnection(source, env)
    expect(read).toThrow(said)
    expect(read).not.toThrow('hush')
  })
})
