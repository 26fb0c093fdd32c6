import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { secretCredentials } from '../lambda/aws/credentials.ts'
import {
  type Credentials,
  DEFAULT_DATABASE,
  DEFAULT_PORT,
  type ReadCredentials,
} from '../lambda/core/credentials.ts'
import { isLoopback } from '../lambda/core/endpoint.ts'
import { SlotkeeperError } from '../lambda/errors.ts'
import type { Tls } from '../lambda/postgres/tls.ts'
import { readPrivately, readText } from './files.ts'
import { readMethods } from './libpq/authentication.ts'
import { findPassword, type Place, readService } from './libpq/files.ts'
import { fromEnvironment, type Parameters, refuseUnmet } from './libpq/parameters.ts'
import { isPort, parseUri, severalHosts } from './libpq/uri.ts'
import { readTls } from './tls.ts'

export type Source = { url?: string; secretArn?: string }

export type Connection = { target: string; credentials: ReadCredentials; tls: Tls }

/** Where libpq looks for a server's Unix socket: on Debian and Red Hat, and by its own default. */
const SOCKET_FOLDERS = ['/var/run/postgresql', '/tmp']

/**
 * Reads where to connect from `--url`, `--secret-arn`, `DATABASE_URL`, or the PG* variables. A URL, the
 * variables, the service file and the password file have the same meaning as in libpq.
 * @throws SlotkeeperError of kind `settings` if no server is given, or a setting can't be used
 */
export function readConnection({ url, secretArn }: Source, env: Parameters): Connection {
  if (url !== undefined && secretArn !== undefined) {
    throw usage('--url and --secret-arn exclude each other; give only one of them')
  }
  if (secretArn !== undefined) {
    return {
      target: secretArn,
      credentials: secretCredentials(secretArn, {}),
      tls: readTls({ sslmode: 'verify-full' }, ''),
    }
  }
  const parameters = gather(url ?? (env.DATABASE_URL || undefined), env)
  refuseUnmet(parameters)
  const home = homeOf(env)
  const place = readPlace(parameters, home)
  const { host, port } = place
  const sslmode = parameters.sslmode ?? (isPlain(host, parameters) ? 'disable' : 'verify-full')
  const tls = readTls({ ...parameters, sslmode: host.startsWith('/') ? 'disable' : sslmode }, home)
  if (!tls && parameters.channel_binding === 'require') {
    throw usage(
      'channel_binding: "require" needs TLS, but this connection has none (sslmode=disable, or a Unix socket)',
    )
  }
  return { target: `${host}:${port}`, credentials: async () => place, tls }
}

/** The URL wins over the service's section, which wins over the variables. */
function gather(text: string | undefined, env: Parameters): Parameters {
  const given = text === undefined ? {} : parseUri(text)
  const variables = fromEnvironment(env)
  const service = given.service || variables.service
  if (text === undefined && !service && !variables.host && !variables.hostaddr) {
    throw usage(
      'no server given; expected --url, --secret-arn, DATABASE_URL, or PGHOST with the other PG* variables',
    )
  }
  const file = given.servicefile || variables.servicefile
  const ofService = service ? serviceOf(service, file, env) : {}
  return { ...variables, ...ofService, ...given }
}

/** Looks in the user's own file first. If the service is not there, looks in the machine's file. */
function serviceOf(service: string, named: string | undefined, env: Parameters): Parameters {
  const home = homeOf(env)
  const own = named || (home && join(home, '.pg_service.conf'))
  const files = [own, env.PGSYSCONFDIR && join(env.PGSYSCONFDIR, 'pg_service.conf')]
  for (const file of files) {
    if (!file || (file !== named && !existsSync(file))) continue
    const found = readService(readText('service file', file), service, file)
    if (found) return found
  }
  throw usage(
    `service ${JSON.stringify(service)} is not defined; expected it in ~/.pg_service.conf, in the file that PGSERVICEFILE names, or in pg_service.conf in the folder that PGSYSCONFDIR names`,
  )
}

/** Server, role, password and database, with libpq's defaults. */
function readPlace(parameters: Parameters, home: string): Credentials {
  const { hostaddr = '', port: portText = '', require_auth = '' } = parameters
  if (portText !== '' && !isPort(portText)) {
    throw usage(`port: found ${JSON.stringify(portText)}; expected a number from 1 to 65535`)
  }
  const port = portText === '' ? DEFAULT_PORT : Number(portText)
  const host = readHost(parameters, port)
  const user = parameters.user ?? systemUser()?.username ?? ''
  if (user === '') throw usage('user: missing or empty; expected the name of a role')
  const named = parameters.dbname || undefined
  const database = named ?? user
  const lookUp = { host, port: String(port), dbname: database, user }
  return {
    host,
    ...(hostaddr && { address: hostaddr }),
    port,
    user,
    password: parameters.password || passwordOf(parameters.passfile, lookUp, home),
    database,
    // libpq's default is a database with the role's name, which often does not exist.
    ...(named === undefined && { secondDatabase: DEFAULT_DATABASE }),
    ...(require_auth && { methods: readMethods(require_auth) }),
  }
}

function readHost({ host = '', hostaddr = '' }: Parameters, port: number): string {
  if (`${host}${hostaddr}`.includes(',')) throw severalHosts('host or hostaddr')
  if (hostaddr !== '' && isIP(hostaddr) === 0) {
    throw usage(`hostaddr: found ${JSON.stringify(hostaddr)}; expected an IP address`)
  }
  if (host.startsWith('@')) {
    throw usage(
      'host: a socket in the abstract namespace is not supported; expected the folder of a socket',
    )
  }
  if (host !== '' || hostaddr !== '') return host || hostaddr
  return (
    SOCKET_FOLDERS.find((folder) => existsSync(join(folder, `.s.PGSQL.${port}`))) ?? 'localhost'
  )
}

/** Whether to connect without TLS: the connection stays on this machine, and no setting asks for TLS. */
function isPlain(host: string, parameters: Parameters): boolean {
  const asked = ['sslrootcert', 'sslcrl', 'sslcert', 'ssl_min_protocol_version']
  return (
    isLoopback(host) &&
    parameters.channel_binding !== 'require' &&
    !asked.some((name) => parameters[name])
  )
}

function passwordOf(named: string | undefined, lookUp: Place, home: string): string {
  const host = SOCKET_FOLDERS.includes(lookUp.host) ? 'localhost' : lookUp.host
  const file = named || (home && join(home, '.pgpass'))
  const text = file && readPrivately(file)
  return (text && findPassword(text, { ...lookUp, host })) || ''
}

function homeOf({ HOME }: Parameters): string {
  return HOME || (systemUser()?.homedir ?? '')
}

/** Undefined in a container whose user has a number and no name. */
function systemUser() {
  try {
    return userInfo()
  } catch {
    return undefined
  }
}

function usage(message: string): SlotkeeperError {
  return new SlotkeeperError('settings', message)
}
