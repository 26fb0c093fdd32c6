import { isIP } from 'node:net'
import * as v from 'valibot'
import type { Credentials, ReadCredentials } from '../core/credentials.ts'
import { describeRepeated, repeatedKeys } from '../core/repeated-keys.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'

export type { Credentials, ReadCredentials }

/** What the configuration says itself; each field given overrides the secret's. */
export type Overrides = Partial<Pick<Credentials, 'host' | 'port' | 'user' | 'database'>>

export const DEFAULT_PORT = 5432
/** Exists on every server, and has no connection limit of an application's. */
export const DEFAULT_DATABASE = 'postgres'

const ATTEMPTS = 2
const CONNECT_TIMEOUT_MS = 1_000
const REQUEST_TIMEOUT_MS = 2_000

/** Secrets are written by templates and by hand: null and empty say the same as a missing field. */
const optional = <const T extends v.GenericSchema>(schema: T) =>
  v.optional(
    v.union([
      v.pipe(
        v.union([v.null(), v.literal('')]),
        v.transform(() => undefined),
      ),
      schema,
    ]),
  )

const port = v.pipe(
  v.union([v.number(), v.pipe(v.string(), v.regex(/^\d{1,5}$/))]),
  v.transform(Number),
  v.integer(),
  v.minValue(1),
  v.maxValue(65535),
)

// The rotation templates write all of it; RDS itself writes username and password alone.
const secretSchema = v.object({
  username: v.pipe(v.string(), v.nonEmpty()),
  password: v.pipe(v.string(), v.nonEmpty()),
  host: optional(v.string()),
  port: optional(port),
  dbname: optional(v.string()),
})

/** Credentials from a Secrets Manager secret, read once and kept until a fresh read is asked for. */
export function secretCredentials(secretId: string, overrides: Overrides): ReadCredentials {
  let cached: Promise<Credentials> | undefined
  return (fresh) => {
    if (!cached || fresh) {
      const reading = readSecret(secretId).then((secret) =>
        parseSecret(secretId, secret, overrides),
      )
      // A failed read is not kept: the next sweep asks again.
      reading.catch(() => {
        if (cached === reading) cached = undefined
      })
      cached = reading
    }
    return cached
  }
}

/** A fresh IAM token for each connection, signed locally: no AWS endpoint is asked. */
export function iamCredentials(
  overrides: Overrides & { host: string; user: string },
): ReadCredentials {
  const { host, user, port = DEFAULT_PORT, database = DEFAULT_DATABASE } = overrides
  return async () => {
    const { Signer } = await import('@aws-sdk/rds-signer')
    try {
      const password = await new Signer({ hostname: host, port, username: user }).getAuthToken()
      return { host, port, user, database, password }
    } catch (error) {
      throw new SlotkeeperError(
        'credentials',
        `no IAM token could be signed for role ${user} on ${host}: ${messageOf(error)}. Check the function's role and AWS_REGION.`,
        { cause: error },
      )
    }
  }
}

async function readSecret(secretId: string): Promise<string | undefined> {
  const { SecretsManagerClient, GetSecretValueCommand } = await import('./secrets-manager.ts')
  const region = /^arn:[^:]+:secretsmanager:([^:]+):/.exec(secretId)?.[1]
  const client = new SecretsManagerClient({
    // A secret is read where it is, whatever region this machine has in mind.
    ...(region !== undefined && { region }),
    maxAttempts: ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  })
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secretId }))
    return SecretString
  } catch (error) {
    throw new SlotkeeperError(
      'credentials',
      `secret ${secretId} could not be read: ${messageOf(error)}. Check its ARN, secretsmanager:GetSecretValue on it (and kms:Decrypt on its key), and the way from the subnet to Secrets Manager.`,
      { cause: error },
    )
  } finally {
    client.destroy()
  }
}

/**
 * Reads both shapes of RDS secrets, configuration first.
 * @throws SlotkeeperError of kind `credentials` that names the secret and the field, never a value
 */
export function parseSecret(
  secretId: string,
  secret: string | undefined,
  overrides: Overrides,
): Credentials {
  // No cause is given: errors of JSON and of the schema quote what they read.
  const fail = (problem: string) =>
    new SlotkeeperError('credentials', `secret ${secretId}: ${problem}`)
  const { input, problem } = readSecretText(secret)
  if (problem !== undefined) throw fail(problem)
  const result = v.safeParse(secretSchema, input)
  if (!result.success) {
    const fields = result.issues.map((issue) => issue.path?.[0]?.key ?? 'the whole')
    throw fail(
      `${[...new Set(fields)].join(', ')} missing or not of the form that RDS writes; expected username and password as texts, and host, port, dbname where given`,
    )
  }
  const { username, password, dbname, ...written } = result.output
  const at =
    overrides.host === undefined ? splitHost(written) : { ...written, host: overrides.host }
  if (at === undefined) {
    throw fail(
      "host is not a host name; expected the server's endpoint, and its port in the field port",
    )
  }
  if (at.host === undefined) {
    throw fail(
      "has no field host, as RDS's own secrets have none: set SLOTKEEPER_HOST for the function, or use --url on the command line",
    )
  }
  const second = overrides.database === undefined && dbname !== DEFAULT_DATABASE && dbname
  return {
    host: at.host,
    port: overrides.port ?? at.port ?? DEFAULT_PORT,
    user: overrides.user ?? username,
    password,
    // Not the secret's: a connection that is kept there would stand in the way of DROP DATABASE.
    database: overrides.database ?? DEFAULT_DATABASE,
    ...(second && { secondDatabase: second }),
  }
}

/** The JSON of a secret, or what keeps it from being read. */
function readSecretText(secret: string | undefined): { input?: unknown; problem?: string } {
  if (secret === undefined) return { problem: 'holds binary data; expected a JSON text' }
  if (secret.includes('\0')) return { problem: 'is in UTF-16; expected a JSON text in UTF-8' }
  // Editors on Windows begin a file with a byte order mark.
  const text = secret.replace(/^\uFEFF/, '')
  try {
    const input: unknown = JSON.parse(text)
    const [repeated] = repeatedKeys(text)
    return repeated ? { problem: `secret${describeRepeated(repeated)}` } : { input }
  } catch {
    return { problem: 'is not JSON; expected an object with username and password' }
  }
}

/** Takes `name:5432` for both; undefined where it is no host, or where the ports contradict each other. */
function splitHost({ host, port }: { host?: string | undefined; port?: number | undefined }) {
  if (host === undefined || isIP(host) !== 0) return { host, port }
  const [, name = '', written] = /^([^\s:/@?#]+)(?::(\d{1,5}))?$/.exec(host) ?? []
  const own = written === undefined ? undefined : Number(written)
  if (name === '' || own === 0 || (own ?? 0) > 65535) return undefined
  if (own !== undefined && port !== undefined && own !== port) return undefined
  return { host: name, port: own ?? port }
}
