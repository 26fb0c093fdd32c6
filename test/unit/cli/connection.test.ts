import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { afterAll, describe, expect, test } from 'vitest'
import { readConnection } from '../../../cli/connection.ts'
import { SlotkeeperError } from '../../../lambda/errors.ts'
import type { Tls } from '../../../lambda/postgres/tls.ts'
import { fc } from '../../support/seeded.ts'

// Nobody's own files and name play a part.
const HOME = mkdtempSync(join(tmpdir(), 'slotkeeper-home-'))
afterAll(() => rmSync(HOME, { recursive: true }))

function file(name: string, content: string, mode = 0o600): string {
  const path = join(HOME, name)
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

const authority = rootCertificates[0] as string
const pem = file('authority.pem', `of ours\n${authority}\n`)
const noPem = file('no.pem', 'hush\n')
const damaged = file('damaged.pem', authority.replace(/[a-z]/g, 'A'))

describe('the connection of the command line', () => {
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
    expect(await readConnection(source, { HOME, ...env }).credentials(false)).toMatchObject(
      expected,
    )
  })

  test.each<[string, string, boolean]>([
    ['postgres://h', 'verify-full', true],
    ['postgres://h?sslmode=require', 'verify-full', true],
    ['postgres://h?sslmode=verify-full', 'verify-full', true],
    ['postgres://h?sslmode=verify-ca', 'verify-ca', false],
  ])('%s is %s', (url, _, verifyName) => {
    expect(readConnection({ url }, { HOME }).tls).toMatchObject({ verifyName })
  })

  test.each([
    'channel_binding=require',
    `sslrootcert=${pem}`,
    'sslrootcert=system',
    'ssl_min_protocol_version=TLSv1.2',
  ])('%s requires TLS even on the loopback address', (parameter) => {
    const { tls } = readConnection({ url: `postgres://localhost?${parameter}` }, { HOME })
    expect(tls).toMatchObject({ verifyName: true })
  })

  test('passes on channel_binding and the TLS version', () => {
    const demands = 'channel_binding=require&ssl_min_protocol_version=TLSv1.3'
    const { tls } = readConnection({ url: `postgres://h?${demands}` }, { HOME })
    expect(tls).toMatchObject({ requireBinding: true, minVersion: 'TLSv1.3' })
  })

  test('sslrootcert replaces the default certificate authorities', () => {
    const of = (url: string) => (readConnection({ url }, { HOME }).tls as Exclude<Tls, false>).ca
    expect(of(`postgres://h?sslrootcert=${pem}`)).toEqual([authority])
    expect(of('postgres://h?sslrootcert=system').length).toBeGreaterThan(50)
    expect(of('postgres://h').length).toBeGreaterThan(of('postgres://h?sslrootcert=system').length)
  })

  test.each(['postgres://127.0.0.1', 'postgres://localhost', 'postgres://h?sslmode=disable'])(
    '%s uses no TLS',
    (url) => {
      expect(readConnection({ url }, { HOME }).tls).toBe(false)
    },
  )

  test.each<[string, object, Record<string, string>, string]>([
    ['nothing', {}, {}, 'no server given'],
    ['two sources', { url: 'postgres://h', secretArn: 'x' }, {}, 'exclude each other'],
    ['another scheme', { url: 'mysql://u:hush@h' }, {}, 'postgres://'],
    ['a broken URL', { url: 'postgres://u:hush@h:port/d' }, {}, 'postgres://'],
    ...[
      ['a raw / in a password', 'u:hu/sh@h/d'],
      ['a raw / after digits in a password', 'u:12/hush@h/d'],
      ['a raw / after digits, and no more', 'u:12/hush@h'],
      ['a raw @ and / in a password', 'u:p@h/hush@h/d'],
      ['a raw @ in a password', 'u:p@hush@h/d'],
      ['a password that does not end', 'u:hush'],
      ['a % that encodes nothing', 'u:hush%zz@h/d'],
      ['bytes that are no text', 'u:hush%ff@h/d'],
      ['a zero', 'u:hush%00@h/d'],
      ['a raw & in a password', 'h/d?password=a&hush'],
      ['a raw & and = in a password', 'h/d?password=a&hush=b'],
      ['a raw / and ? in a password', 'u:12/3?hush=4@h/d'],
    ].map(([what = '', rest]): [string, object, Record<string, string>, string] => [
      what,
      { url: `postgres://${rest}` },
      {},
      'the URL',
    ]),
    ['several hosts', { url: 'postgres://u:hush@one,two/d' }, {}, 'several hosts; expected one'],
    ['several hosts with ports', { url: 'postgres://u:hush@one:1,two:2/d' }, {}, 'several hosts'],
    ['several hosts, encoded', { url: 'postgres://u:hush@one%2Ctwo/d' }, {}, 'several hosts'],
    ['several hosts in a variable', {}, { PGHOST: 'one,two' }, 'several hosts'],
    [
      'several addresses',
      { url: 'postgres://u:hush@one/d?hostaddr=10.0.0.1,10.0.0.2' },
      {},
      'several hosts',
    ],
    [
      'a parameter that is nearly one',
      { url: 'postgres://u:hush@h/d?sslmod=disable' },
      {},
      'did you mean "sslmode"',
    ],
    [
      'authorities that are no PEM',
      { url: `postgres://u:hush@h?sslrootcert=${noPem}` },
      {},
      `${noPem} holds no certificate`,
    ],
    [
      'an authority that is damaged',
      { url: `postgres://u:hush@h?sslrootcert=${damaged}` },
      {},
      `certificate 1 in ${damaged} is damaged`,
    ],
    [
      'public authorities without the name',
      { url: 'postgres://u:hush@h?sslrootcert=system&sslmode=verify-ca' },
      {},
      'expected verify-full',
    ],
    [
      'revoked certificates that are not there',
      { url: 'postgres://u:hush@h?sslcrl=/none.crl' },
      {},
      'sslcrl',
    ],
    [
      'a client certificate without its key',
      { url: `postgres://u:hush@h?sslcert=${pem}` },
      {},
      'sslkey',
    ],
    [
      'a key that others may read',
      { url: `postgres://u:hush@h?sslcert=${pem}&sslkey=${file('a.key', 'hush', 0o644)}` },
      {},
      'may be read by others',
    ],
    [
      'a key that is none',
      { url: `postgres://u:hush@h?sslcert=${pem}&sslkey=${file('b.key', 'hush')}` },
      {},
      'sslcert, sslkey',
    ],
    [
      'channel binding without TLS',
      { url: 'postgres://u:hush@h?channel_binding=require&sslmode=disable' },
      {},
      'needs TLS',
    ],
    ...Object.entries({
      sslcrldir: '/x',
      sslcertmode: 'require',
      sslnegotiation: 'direct',
      sslsni: '0',
      requirepeer: 'postgres',
      gssencmode: 'require',
      require_auth: 'gss',
      target_session_attrs: 'read-write',
      replication: 'database',
      ssl_max_protocol_version: 'TLSv1.1',
      min_protocol_version: '3.2',
      scram_client_key: 'hush',
      oauth_issuer: 'x',
    }).map(([name, value]): [string, object, Record<string, string>, string] => [
      `a demand that can't be met (${name})`,
      { url: `postgres://u:hush@h/d?${name}=${encodeURIComponent(value)}` },
      {},
      `${name}: found`,
    ]),
    ['the same in a variable', {}, { PGHOST: 'h', PGREQUIREAUTH: 'sspi' }, 'require_auth: found'],
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
  ])('refuses %s without showing the password', (_, source, env, said) => {
    const read = () => readConnection(source, { HOME, ...env })
    expect(read).toThrow(said)
    expect(read).not.toThrow('hush')
  })
})

test('no password, however it is written, appears in a usage error or as the host', async () => {
  const pieces = fc.constantFrom(
    '/',
    '?',
    '#',
    '@',
    ':',
    '&',
    '=',
    '%',
    '%2',
    '+',
    ',',
    ' ',
    '[',
    ']',
    '1',
  )
  const piece = fc.constantFrom('hush', 'port', 'sslmode', '=1', ':1')
  const password = fc.array(fc.oneof(pieces, piece), { minLength: 1, maxLength: 8 })
  const end = fc.constantFrom('/d', '/d?application_name=x', ':5432/d')
  await fc.assert(
    fc.asyncProperty(password, end, async (written, rest) => {
      const url = `postgres://u:hush${written.join('')}hush@h${rest}`
      try {
        const { target, credentials } = readConnection({ url }, { HOME })
        const { host, user, database } = await credentials(false)
        expect(`${target} ${host} ${user} ${database}`).not.toContain('hush')
      } catch (error) {
        if (!(error instanceof SlotkeeperError)) throw error
        expect(error.message).not.toContain('hush')
      }
    }),
    { numRuns: 2000 },
  )
})

test('the database defaults to the name of the role, then to postgres', async () => {
  const { credentials } = readConnection({ url: 'postgres://u:p@h' }, { HOME })
  expect(await credentials(false)).toMatchObject({ database: 'u', secondDatabase: 'postgres' })
})

test('through a tunnel, the certificate is verified against the host name', async () => {
  const url = 'postgres://u:p@shop.example.org:6432/d?hostaddr=127.0.0.1'
  const { credentials, tls, target } = readConnection({ url }, { HOME })
  expect(await credentials(false)).toMatchObject({ host: 'shop.example.org', address: '127.0.0.1' })
  expect(tls).toMatchObject({ verifyName: true })
  expect(target).toBe('shop.example.org:6432')
})
