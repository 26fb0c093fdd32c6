import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readConnection } from '../../cli/connection.ts'
import { connect } from '../../lambda/postgres/connect.ts'
import { inEitherDatabase } from '../../lambda/postgres/gate.ts'
import {
  at,
  badServices,
  DATABASES,
  folder,
  home,
  known,
  loose,
  otherPort,
  passfile,
  port,
  psql,
  SOON_MS,
  services,
  socketFolder,
  unknownInService,
} from '../support/libpq.ts'
import { arriveByPsql } from '../support/psql.ts'

type Case = [what: string, url: string | undefined, env?: Record<string, string>]

const cases: Case[] = [
  ['all of it', `postgres://plain:hush@${at}/shop`],
  ['the long scheme', `postgresql://plain:hush@${at}/shop`],
  ['another scheme', `postgre://plain:hush@${at}/shop`],
  ['a scheme in capitals', `POSTGRES://plain:hush@${at}/shop`],
  ...(
    [
      ['hash', 'hu#sh'],
      ['hash', 'hu%23sh'],
      ['question', 'hu?sh'],
      ['question', 'hu%3fsh'],
      ['slash', 'hu/sh'],
      ['slash', 'hu%2Fsh'],
      ['ampersand', 'hu&sh=1'],
      ['plus', 'hu+sh'],
      ['plus', 'hu%2Bsh'],
      ['blank', 'hu%20sh'],
      ['blank', 'hu+sh'],
      ['percent', 'hu%2541sh'],
      ['percent', 'hu%41sh'],
      ['percent', 'hu%4'],
      ['percent', 'hu%zzsh'],
      ['percent', 'hu%00sh'],
      ['colon', 'hu:s\\h'],
      ['colon', 'hu%3As%5Ch'],
      ['letters', 'h%C3%BCsch%E6%95%B0'],
      ['letters', 'hüsch数'],
      ['plain', 'hu%FFsh'],
      ['plain', 'wrong'],
    ] as const
  ).map(
    ([role, raw]): Case => [
      `the password ${raw} of ${role}`,
      `postgres://${role}:${raw}@${at}/shop`,
    ],
  ),
  ...DATABASES.map(
    (name): Case => [
      `the database ${name}, encoded`,
      `postgres://plain:hush@${at}/${encodeURIComponent(name)}`,
    ],
  ),
  ...['a@b', 'crm&erp', 'eu/shop', 'a+b', 'no such'].map(
    (name): Case => [`the database ${name}, raw`, `postgres://plain:hush@${at}/${name}`],
  ),
  ['a database after the host alone', `postgres://127.0.0.1/a@b`, { ...known, PGPORT: `${port}` }],
  ['no database, and one of the role', `postgres://plain:hush@${at}`],
  ['no database, and a slash', `postgres://plain:hush@${at}/`],
  ['no user', `postgres://${at}/shop`],
  ['a database in the parameters', `postgres://plain:hush@${at}/plain?dbname=crm%26erp`],
  ['plus in a parameter', `postgres://plain:hush@${at}?dbname=a+b`],
  [
    'all in parameters',
    `postgres://?host=127.0.0.1&port=${port}&user=plain&password=hush&dbname=shop`,
  ],
  ['a parameter without a value', `postgres://plain:hush@${at}/shop?dbname`],
  ['a parameter of two values', `postgres://plain:hush@${at}/shop?dbname=a=b`],
  ['a parameter that is unknown', `postgres://plain:hush@${at}/shop?sslmod=disable`],
  ['a parameter twice', `postgres://plain:hush@${at}/shop?dbname=plain&dbname=a%20b`],
  ['an & at the end', `postgres://plain:hush@${at}/shop?dbname=plain&`],
  ['nothing after the ?', `postgres://plain:hush@${at}/shop?`],
  ['an encoded host', `postgres://plain:hush@127%2E0.0.1:${port}/shop`],
  ['a port in the parameters', `postgres://plain:hush@127.0.0.1:${otherPort}/shop?port=${port}`],
  ['port 0', 'postgres://plain:hush@127.0.0.1:0/shop'],
  ['port 70000', 'postgres://plain:hush@127.0.0.1:70000/shop'],
  ['a port that is none', 'postgres://plain:hush@127.0.0.1:x/shop'],
  ['two ports', `postgres://plain:hush@${at}:1/shop`],
  ['an empty port', 'postgres://plain:hush@127.0.0.1:/shop', { PGPORT: `${port}` }],
  ['a socket, encoded', `postgres://plain:hush@${folder}:${port}/shop`],
  ['a socket in the parameters', `postgres://plain:hush@:${port}/shop?host=${socketFolder}`],
  ['a socket, and its password in a file', `postgres://plain@${folder}:${port}/shop`],
  [
    'a socket that must be TLS, which it can not be',
    `postgres://plain:hush@${folder}:${port}/shop?sslmode=require`,
  ],
  [
    'hostaddr',
    `postgres://plain:hush@no-such.invalid:${port}/shop?hostaddr=127.0.0.1&sslmode=disable`,
  ],
  ['hostaddr alone', `postgres://plain:hush@:${port}/shop?hostaddr=127.0.0.1&sslmode=disable`],
  [
    'hostaddr that is no address',
    `postgres://plain:hush@127.0.0.1:${port}/shop?hostaddr=localhost`,
  ],
  ['PGHOSTADDR', undefined, { ...known, PGHOSTADDR: '127.0.0.1', PGPORT: `${port}` }],
  [
    'PGHOSTADDR before the host of a URL',
    `postgres://no-such.invalid/shop?sslmode=disable`,
    { ...known, PGHOSTADDR: '127.0.0.1', PGPORT: `${port}` },
  ],
  ['the variables', undefined, { ...known, PGHOST: '127.0.0.1', PGPORT: `${port}` }],
  ['a socket in a variable', undefined, { ...known, PGHOST: socketFolder, PGPORT: `${port}` }],
  [
    'empty variables',
    undefined,
    { PGHOST: '127.0.0.1', PGPORT: `${port}`, PGUSER: 'plain', PGPASSWORD: 'hush', PGDATABASE: '' },
  ],
  [
    'a user that is empty',
    undefined,
    { ...known, PGHOST: '127.0.0.1', PGPORT: `${port}`, PGUSER: '' },
  ],
  [
    'a mode that is empty',
    undefined,
    { ...known, PGHOST: '127.0.0.1', PGPORT: `${port}`, PGSSLMODE: '' },
  ],
  [
    'a mode that is none',
    undefined,
    { ...known, PGHOST: '127.0.0.1', PGPORT: `${port}`, PGSSLMODE: 'on' },
  ],
  ['a port in a variable that is none', undefined, { ...known, PGHOST: '127.0.0.1', PGPORT: 'x' }],
  [
    'a URL before the variables',
    `postgres://hash:hu%23sh@${at}/a%20b`,
    { ...known, PGPORT: `${otherPort}` },
  ],
  ['variables for what a URL leaves open', `postgres://127.0.0.1`, { ...known, PGPORT: `${port}` }],
  ['a password file', `postgres://plain@${at}/shop`],
  ['a password file with escapes', `postgres://colon@${at}/shop`],
  ['a password file whose first line for it is wrong', `postgres://plain@${at}/crm&erp`],
  ['a password file without a line for it', `postgres://hash@${at}/shop`],
  ['a password file for localhost', `postgres://plain@localhost:${port}/shop`],
  ['PGPASSFILE', `postgres://plain@${at}/a@b`, { PGPASSFILE: passfile }],
  ['passfile', `postgres://plain@${at}/a@b?passfile=${encodeURIComponent(passfile)}`],
  ['a password file that others may read', `postgres://plain@${at}/shop`, { PGPASSFILE: loose }],
  ['a password file that is not there', `postgres://plain@${at}/shop`, { PGPASSFILE: '/no/such' }],
  ['an empty password before a password file', `postgres://plain@${at}/shop`, { PGPASSWORD: '' }],
  ['PGSERVICE', undefined, { PGSERVICE: 'shop' }],
  ['a service in a URL', 'postgres://?service=shop'],
  ['a service, and parts of it from the URL', 'postgres://hash:hu%23sh@?service=shop'],
  [
    'a service before the variables',
    undefined,
    { ...known, PGSERVICE: 'shop', PGPORT: `${otherPort}` },
  ],
  ['a service filled up by the variables', undefined, { ...known, PGSERVICE: 'other' }],
  ['a service that is not there', undefined, { ...known, PGSERVICE: 'none' }],
  [
    'a service of the machine',
    undefined,
    { ...known, PGSERVICE: 'machine', PGSYSCONFDIR: join(home, 'machine') },
  ],
  ['PGSERVICEFILE', undefined, { ...known, PGSERVICE: 'here', PGSERVICEFILE: services }],
  [
    'PGSERVICEFILE that is not there',
    undefined,
    { ...known, PGSERVICE: 'here', PGSERVICEFILE: '/no/such' },
  ],
  [
    'a service with blanks around the =',
    undefined,
    { ...known, PGSERVICE: 'here', PGSERVICEFILE: badServices },
  ],
  [
    'a service with an unknown parameter',
    undefined,
    { ...known, PGSERVICE: 'here', PGSERVICEFILE: unknownInService },
  ],
  [
    'channel binding without TLS',
    `postgres://plain:hush@${at}/shop?channel_binding=require&sslmode=disable`,
  ],
  ['channel binding that is not there', `postgres://plain:hush@${at}/shop?channel_binding=require`],
  ['channel binding of another word', `postgres://plain:hush@${at}/shop?channel_binding=yes`],
  ['channel binding that need not be', `postgres://plain:hush@${at}/shop?channel_binding=prefer`],
  ['TLS that is not there', `postgres://plain:hush@${at}/shop?sslmode=require`],
  ['ssl=true, as JDBC says it', `postgres://plain:hush@${at}/shop?ssl=true`],
  ['ssl=1', `postgres://plain:hush@${at}/shop?ssl=1`],
  ['PGREQUIRESSL', `postgres://plain:hush@${at}/shop`, { PGREQUIRESSL: '1' }],
  ['GSSAPI that is not there', `postgres://plain:hush@${at}/shop?gssencmode=require`],
  [
    'what is harmless',
    `postgres://plain:hush@${at}/shop?connect_timeout=10&application_name=x&keepalives=1&keepalives_idle=30&gssencmode=disable&target_session_attrs=any&client_encoding=UTF8&options=-c%20geqo%3Doff&fallback_application_name=y&tcp_user_timeout=1000&krbsrvname=x&sslcompression=0&sslsni=1`,
  ],
  ['a number that is none', `postgres://plain:hush@${at}/shop?connect_timeout=soon`],
  ['a number of another kind', `postgres://plain:hush@${at}/shop?keepalives_idle=1s`],
  [
    'a version of TLS that is none',
    `postgres://plain:hush@${at}/shop?ssl_min_protocol_version=SSLv3`,
  ],
]

/** Where both say that they are: the name of the host, and what the server itself knows. */
const WHERE =
  "select session_user, current_database(), coalesce(inet_server_port()::text, 'socket')"

async function arriveByUs(url: string | undefined, env: Record<string, string>) {
  try {
    const { credentials, tls } = readConnection(url === undefined ? {} : { url }, env)
    const given = await credentials(false)
    const link = await inEitherDatabase(given, (chosen) => connect(chosen, tls, 'client', SOON_MS))
    const [rows] = await link.query(WHERE, SOON_MS)
    await link.close()
    return [given.host, given.port, ...Object.values(rows?.[0] ?? {})].join('|')
  } catch {
    return 'refused'
  }
}

async function arriveAsPsql(url: string | undefined, env: Record<string, string>) {
  const named = url === undefined ? [] : [url]
  const asked = ['-c', '\\echo :HOST :PORT', '-c', WHERE]
  const { said } = await arriveByPsql(psql as string, [...asked, ...named], env)
  const [where = '', row] = said.split('\n')
  return row === undefined ? 'refused' : [...where.split(' '), row].join('|')
}

describe.skipIf(psql === undefined)(
  'connects where psql connects, and fails where psql fails',
  () => {
    test.each(cases)('%s', async (_, url, env = {}) => {
      const all = { HOME: home, PATH: '/nowhere', ...env }
      const expected = await arriveAsPsql(url, all)
      expect(await arriveByUs(url, all)).toBe(expected)
    })
  },
)

test('the comparison has more than 80 cases', () => {
  expect(cases.length).toBeGreaterThan(80)
})
