import * as v from 'valibot'
import { describeRepeated, repeatedKeys } from '../core/repeated-keys.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'

/** What it takes to log in to one target. */
export type Credentials = {
  host: string
  port: number
  user: string
  password: string
  database: string
}

/** Reads the credentials; `fresh` passes over what is cached. */
export type ReadCredentials = (fresh: boolean) => Promise<Credentials>

/** What the configuration says itself; each field given overrides the secret's. */
export type Overrides = Partial<Pick<Credentials, 'host' | 'port' | 'user' | 'database'>>

export const DEFAULT_PORT = 5432
/** Exists on every server, and has no connection limit of an application's. */
export const DEFAULT_DATABASE = 'postgres'

const ATTEMPTS = 2
const CONNECT_TIMEOUT_MS = 1_000
const REQUEST_TIMEOUT_MS = 2_000

// The rotation templates write all of it; RDS itself writes username and password alone.
const secretSchema = v.object({
  username: v.pipe(v.string(), v.nonEmpty()),
  password: v.pipe(v.string(), v.nonEmpty()),
  host: v.optional(v.pipe(v.string(), v.nonEmpty())),
  port: v.optional(
    v.pipe(
      v.union([v.number(), v.string()]),
      v.transform(Number),
      v.integer(),
      v.minValue(1),
      v.maxValue(65535),
    ),
  ),
  dbname: v.optional(v.pipe(v.string(), v.nonEmpty())),
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
  const client = new SecretsManagerClient({
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
  if (secret === undefined) throw fail('holds binary data; expected a JSON text')
  let input: unknown
  try {
    input = JSON.parse(secret)
  } catch {
    throw fail('is not JSON; expected an object with username and password')
  }
  const [repeated] = repeatedKeys(secret)
  if (repeated) throw fail(`secret${describeRepeated(repeated)}`)
  const result = v.safeParse(secretSchema, input)
  if (!result.success) {
    const fields = result.issues.map((issue) => issue.path?.[0]?.key ?? 'the whole')
    throw fail(
      `${[...new Set(fields)].join(', ')} missing or not of the form that RDS writes; expected username and password as texts, and host, port, dbname where given`,
    )
  }
  const { username, password, host, port, dbname } = result.output
  const where = overrides.host ?? host
  if (where === undefined) {
    throw fail(
      "has no field host, as RDS's own secrets have none: set SLOTKEEPER_HOST for the function, or use --url on the command line",
    )
  }
  return {
    host: where,
    port: overrides.port ?? port ?? DEFAULT_PORT,
    user: overrides.user ?? username,
    password,
    database: overrides.database ?? dbname ?? DEFAULT_DATABASE,
  }
}
