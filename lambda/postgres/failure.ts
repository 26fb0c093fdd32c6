import { DatabaseError } from 'pg'
import type { Credentials } from '../aws/credentials.ts'
import { type Kind, messageOf, SlotkeeperError } from '../errors.ts'

/** Whether the server ended the session along with the error. */
export function isFatal({ code = '' }: DatabaseError): boolean {
  return code.startsWith('57P') || code.startsWith('08')
}

const UNTRUSTED = [
  'is of an authority that is not trusted here',
  'If it is the right one, name it up to its root in SLOTKEEPER_CA_FILE (sslrootcert on the command line). If RDS should answer, check the host name and what stands on the way.',
] as const

/** What is wrong with a certificate by Node.js's code for it, and what mends it. */
const CERTIFICATE_FAULTS: Record<string, readonly [fault: string, remedy: string]> = {
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'is for another host name',
    'Connect by a name that stands in it: on RDS the endpoint, neither an address nor an alias.',
  ],
  CERT_HAS_EXPIRED: [
    "has expired, or its authority's has",
    'Install a new one; on RDS give the instance a current authority (aws rds modify-db-instance --ca-certificate-identifier …).',
  ],
  CERT_NOT_YET_VALID: ['is not valid yet', 'Check its dates, and the clocks of both sides.'],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    'is self-signed, so that no authority vouches for it',
    "Install one of an authority, or name the certificate itself in SLOTKEEPER_CA_FILE (sslrootcert on the command line) if it is this server's. RDS never shows such a one.",
  ],
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  INVALID_PURPOSE: ['is not meant for servers', 'Install one with the key usage serverAuth.'],
}

const ANY_FAULT = [
  'was not accepted',
  'Check it, and the certificate authorities (SLOTKEEPER_CA_FILE; sslrootcert on the command line).',
] as const

/** What the server was asked for. */
type Request = 'login' | 'statement'

/** Names the kind of an error by SQLSTATE or by the socket's code, never by its text. */
export function classify(
  error: unknown,
  credentials: Credentials,
  request: Request,
): SlotkeeperError {
  const { host, port } = credentials
  const [kind, message] =
    error instanceof DatabaseError
      ? refusalOf(error, credentials, request)
      : (tlsFailureOf(error, `${host}:${port}`) ?? [
          'unreachable',
          `no connection with ${host}:${port}: ${messageOf(error)}. Check that the server runs, the host name, the port, the security groups and the subnets.`,
        ])
  return new SlotkeeperError(kind, message, { cause: error })
}

type Failure = [kind: Kind, message: string]

function refusalOf(
  error: DatabaseError,
  { host, port, user, database }: Credentials,
  request: Request,
): Failure {
  const where = `${host}:${port}`
  const said = `${error.message} (SQLSTATE ${error.code})`
  switch (error.code) {
    case '28P01':
    case '28000':
      return isOtherChannel(error)
        ? [
            'tls',
            `${where} refused the login because the TLS connection that it sees is not the one opened here: ${said}. Something on the way ends TLS: connect to the server's own endpoint. If nothing should stand there, take it for an attack and change the password of role ${user}.`,
          ]
        : [
            'authentication',
            `${where} refused to let role ${user} into database ${database}: ${said}. Check the password, that the role may log in, and pg_hba.conf or rds_iam.`,
          ]
    case '3D000':
      return [
        'forbidden',
        `${where} has no database ${database} (SQLSTATE 3D000). Correct the database name; "postgres" exists on every server.`,
      ]
    case '53300':
      return isOwnLimit(error)
        ? [
            'limited',
            `the connection limit of role ${user} or database ${database} on ${where} is used up: ${said}. The server itself has room: raise it with ALTER ROLE or ALTER DATABASE … CONNECTION LIMIT, or connect to another database.`,
          ]
        : ['exhausted', `every connection slot of ${where} is taken: ${said}.`]
  }
  if (isFatal(error)) return ['unreachable', `${where} ended the connection: ${said}.`]
  return request === 'login'
    ? ['forbidden', `${where} refused to let role ${user} into database ${database}: ${said}.`]
    : ['query', `${where} refused a statement: ${said}.`]
}

function tlsFailureOf(error: unknown, where: string): Failure | undefined {
  const code = String((error as { code?: unknown }).code)
  if (code in CERTIFICATE_FAULTS || /CERT|SIGNATURE|ISSUER|INVALID_CA|UNSPECIFIED/.test(code)) {
    const [fault, remedy] = CERTIFICATE_FAULTS[code] ?? ANY_FAULT
    return ['tls', `the certificate of ${where} ${fault}: ${messageOf(error)} (${code}). ${remedy}`]
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return [
      'tls',
      `TLS with ${where} failed (${code}). Its version 1.2 or later is needed: check ssl_min_protocol_version, ssl_max_protocol_version and ssl_ciphers of the server.`,
    ]
  }
  return undefined
}

/**
 * A role's or a database's CONNECTION LIMIT has the same SQLSTATE as the full server. The place in
 * PostgreSQL's source that raised it is not translated, as its text is: miscinit.c
 * (InitializeSessionUserId) and postinit.c (CheckMyDatabase).
 */
function isOwnLimit({ routine = '' }: DatabaseError): boolean {
  return routine === 'InitializeSessionUserId' || routine === 'CheckMyDatabase'
}

/**
 * The server's check of the channel binding failed (auth-scram.c): the driver bound the login to a
 * certificate that is not the server's, or was told that the server can't bind at all.
 */
function isOtherChannel({ routine = '' }: DatabaseError): boolean {
  return routine === 'read_client_final_message' || routine === 'read_client_first_message'
}

/** The server answered no to the request for TLS. */
export function plaintextOnly(error: unknown, { host, port }: Credentials): SlotkeeperError {
  return new SlotkeeperError(
    'tls',
    `${host}:${port} offers no TLS: ${messageOf(error)}. On RDS it is on as delivered, so check that the host name and the port are the server's own; elsewhere set ssl = on with ssl_cert_file and ssl_key_file.`,
    { cause: error },
  )
}
