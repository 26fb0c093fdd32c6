import { DatabaseError } from 'pg'
import type { Credentials } from '../core/credentials.ts'
import { isProxyEndpoint } from '../core/endpoint.ts'
import { type Kind, messageOf, SlotkeeperError } from '../errors.ts'
import { Garbled } from './driver.ts'
import { LoginRefused } from './login.ts'
import { networkFailure } from './network-failure.ts'
import { tlsFailure } from './tls-failure.ts'

/** Whether the server ended the session with this error: SQLSTATE 57P… or 08…. */
export function isFatal({ code = '' }: DatabaseError): boolean {
  return code.startsWith('57P') || code.startsWith('08')
}

/** What the server was asked for: a login, with or without TLS, or a statement. */
type Request = 'plain login' | 'login' | 'statement'

type Failure = [kind: Kind, message: string]

/**
 * Turns any error into a SlotkeeperError. The SQLSTATE or the socket's code decides the kind, never the text.
 */
export function classify(
  error: unknown,
  credentials: Credentials,
  request: Request,
): SlotkeeperError {
  const [kind, message] =
    error instanceof DatabaseError
      ? request === 'statement'
        ? statementRefusal(error, credentials)
        : loginRefusal(error, credentials, request)
      : ownFailure(error, credentials, request)
  return new SlotkeeperError(kind, message, { cause: error })
}

/** An error of the network, of TLS or of the driver. The server itself refused nothing. */
function ownFailure(error: unknown, credentials: Credentials, request: Request): Failure {
  const where = whereOf(credentials)
  if (error instanceof LoginRefused) {
    return [
      'authentication',
      `${where}: Slotkeeper gave up the login of role ${credentials.user}, because ${error.message}. ${LOGIN_REMEDIES[error.reason]}`,
    ]
  }
  if (error instanceof Garbled) {
    return [
      'unreachable',
      `${where}: ${error.message}. Check host and port: what answers there is not PostgreSQL, or something in between garbles it.`,
    ]
  }
  if (isOfScram(error)) {
    return [
      'authentication',
      `${where} did not prove that it knows the password of role ${credentials.user}: ${messageOf(error)}. It is the wrong server, or something in between impersonates it.`,
    ]
  }
  const ofTls = tlsFailure(error, where)
  if (ofTls !== undefined) return ['tls', ofTls]
  return request === 'statement'
    ? [
        'unreachable',
        `the connection with ${where} was lost: ${messageOf(error)}. Check that the server runs and is not overloaded, and the network to it.`,
      ]
    : ['unreachable', networkFailure(error, credentials)]
}

const LOGIN_REMEDIES: Record<LoginRefused['reason'], string> = {
  password:
    'Give one: in the secret, or on the command line in PGPASSWORD, a password file (~/.pgpass) or the URL.',
  method:
    'Give the role a line in pg_hba.conf with scram-sha-256; Slotkeeper speaks scram-sha-256, md5 and password (also for ldap, pam and radius).',
  demand: 'That is not what require_auth or channel_binding demand: check both sides.',
  cost: 'Set scram_iterations to 100000 or less, and then set the password again.',
}

const CONNECT_REMEDY = ' GRANT CONNECT ON DATABASE to the role, or name another database.'

/** The server, or a pooler in its place, did not let the role in. */
function loginRefusal(
  error: DatabaseError,
  credentials: Credentials,
  request: 'plain login' | 'login',
): Failure {
  const { user, database } = credentials
  const where = whereOf(credentials)
  const said = `${error.message} (SQLSTATE ${error.code})`
  if (isOfPooler(error)) return ['forbidden', behindPooler(where, said)]
  switch (error.code) {
    case '28P01':
    case '28000':
      return identityRefusal(error, credentials, request)
    case '3D000':
      return [
        'forbidden',
        `${where} has no database ${database} (SQLSTATE 3D000). Correct the database name; "postgres" exists on every server.`,
      ]
    case '42704':
      return [
        'forbidden',
        `${where} does not know a setting that PostgreSQL has since version 14: ${said}. Slotkeeper needs PostgreSQL 14 or later.`,
      ]
    case '53300':
      return slotRefusal(error, credentials)
    case '58P01':
      return [
        'forbidden',
        `${where} could not load a library at the login of role ${user}: ${said}. If session_preload_libraries or local_preload_libraries names it for the role or the database, correct that: ALTER ROLE … RESET session_preload_libraries.`,
      ]
    case '57P03':
      return [
        'unreachable',
        `${where} takes no connections now: ${said}. It is starting, stopping or recovering: try again when it is done. The network works.`,
      ]
  }
  if (isFatal(error)) return ['unreachable', endedBy(where, said)]
  if (error.code?.startsWith('53')) {
    return ['unreachable', `${where} lacks memory or disk for a connection: ${said}. See its log.`]
  }
  const grant = error.routine === 'CheckMyDatabase' && error.code === '42501' ? CONNECT_REMEDY : ''
  return [
    'forbidden',
    `${where} refused to let role ${user} into database ${database}: ${said}.${grant}`,
  ]
}

function statementRefusal(error: DatabaseError, credentials: Credentials): Failure {
  const where = whereOf(credentials)
  const said = `${error.message} (SQLSTATE ${error.code})`
  return isFatal(error)
    ? ['unreachable', endedBy(where, said)]
    : ['query', `${where} refused a statement: ${said}.`]
}

function endedBy(where: string, said: string): string {
  return `${where} ended the connection: ${said}.`
}

/**
 * 28P01 and 28000, told apart by the routine in PostgreSQL's source that raised them; routines are not
 * translated.
 */
function identityRefusal(
  error: DatabaseError,
  credentials: Credentials,
  request: 'plain login' | 'login',
): Failure {
  const { user, database, password } = credentials
  const where = whereOf(credentials)
  const said = `${error.message} (SQLSTATE ${error.code})`
  const refused = `${where} refused to let role ${user} into database ${database}: ${said}.`
  switch (error.routine) {
    // auth-scram.c: the driver bound the login to a certificate that is not the server's, or the driver was
    // told that the server does not support channel binding.
    case 'read_client_final_message':
    case 'read_client_first_message':
      return [
        'tls',
        `${where} refused the login because the TLS connection that it sees is not the one opened here: ${said}. Something in between terminates TLS: connect to the server's own endpoint. If nothing should be in between, treat this as an attack and change the password of role ${user}.`,
      ]
    // auth.c: no line of pg_hba.conf lets this connection in, or its line asks for a certificate.
    case 'ClientAuthentication':
      return ['forbidden', `${refused} ${request === 'login' ? RULE_REMEDY : PLAIN_REMEDY}`]
    // miscinit.c: there is no such role, or it has no LOGIN.
    case 'InitializeSessionUserId':
      return ['authentication', `${refused} Check that the role exists and has LOGIN.`]
  }
  const lineEnd = /[\r\n]$/.test(password)
    ? ' The password that was given ends with a line break, which is probably a mistake: store it without.'
    : ''
  return [
    'authentication',
    `${refused}${lineEnd} Check the password, that the role may log in, and pg_hba.conf or rds_iam.`,
  ]
}

const RULE_REMEDY =
  'Give this role, database and address a line in pg_hba.conf; if its line asks for a client certificate, give sslcert and sslkey.'
const PLAIN_REMEDY =
  'This connection has no TLS. If the server demands it (hostssl, or rds.force_ssl), set SLOTKEEPER_TLS=verify-full, or sslmode on the command line: sslmode=verify-full by the name in its certificate; through a tunnel with host=ENDPOINT&hostaddr=127.0.0.1&sslmode=verify-full, or sslmode=verify-ca. Otherwise give it a line in pg_hba.conf.'

/**
 * The CONNECTION LIMIT of a role or a database gives the same SQLSTATE as a full server. The routine that
 * raised the error tells them apart: InitializeSessionUserId (miscinit.c) for a role, CheckMyDatabase
 * (postinit.c) for a database.
 */
function slotRefusal(error: DatabaseError, credentials: Credentials): Failure {
  const { user, database } = credentials
  const where = whereOf(credentials)
  const said = `${error.message} (SQLSTATE ${error.code})`
  switch (error.routine) {
    case 'InitializeSessionUserId':
      return [
        'limited',
        `the connection limit of role ${user} on ${where} is used up: ${said}. The server itself has room. Slotkeeper needs a limit of 2: the function keeps one connection between its sweeps, and a new environment of it opens another. ALTER ROLE … CONNECTION LIMIT 2, or more if others log in as this role.`,
      ]
    case 'CheckMyDatabase':
      return [
        'limited',
        `the connection limit of database ${database} on ${where} is used up: ${said}. The server itself has room: raise it with ALTER DATABASE … CONNECTION LIMIT, or connect to another database.`,
      ]
    default:
      return ['exhausted', `every connection slot of ${where} is taken: ${said}.`]
  }
}

/**
 * PostgreSQL names the routine in its source with every error; poolers do not. PgBouncer refuses the start-up
 * parameter `options` with 08P01, RDS Proxy with 0A000.
 */
function isOfPooler({ code = '', routine }: DatabaseError): boolean {
  return code === '0A000' || (routine === undefined && /^(08P01|3D000|28)/.test(code))
}

function behindPooler(where: string, said: string): string {
  return `${where} is a pooler such as PgBouncer or RDS Proxy, not the server: ${said}. Through a pooler Slotkeeper can't see the real sessions: name the server's own endpoint.`
}

/**
 * Refuses the endpoint of an RDS Proxy, which its name gives away.
 * @throws SlotkeeperError of kind `forbidden`
 */
export function refusePooler(credentials: Credentials): void {
  if (!isProxyEndpoint(credentials.host)) return
  const message = behindPooler(whereOf(credentials), 'its name is one of RDS Proxy')
  throw new SlotkeeperError('forbidden', message)
}

function whereOf({ host, port }: Credentials): string {
  return `${host}:${port}`
}

/** The driver's SCRAM errors have no code. Their text always begins like this (crypto/sasl.js). */
function isOfScram(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('SASL: ')
}
