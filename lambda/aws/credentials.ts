import {
  type Credentials,
  type CredentialsFor,
  DEFAULT_DATABASE,
  DEFAULT_PORT,
  type Overrides,
  parseSecret,
  type ReadCredentials,
} from '../core/credentials.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { CLIENT_OPTIONS } from './client-options.ts'

/**
 * Credentials from a Secrets Manager secret. The secret is read once and cached until a fresh read is asked
 * for.
 */
export function secretCredentials(secretId: string, overrides: Overrides): ReadCredentials {
  let cached: Promise<Credentials> | undefined
  return (fresh) => {
    if (!cached || fresh) {
      const reading = readSecret(secretId).then((secret) =>
        credentialsOf(secretId, secret, overrides),
      )
      // A failed read is not cached, so the next sweep reads again.
      reading.catch(() => {
        if (cached === reading) cached = undefined
      })
      cached = reading
    }
    return cached
  }
}

/**
 * The credentials in a secret. The configuration overrides the secret.
 * @throws SlotkeeperError of kind `credentials` that names the secret and the field. It has no cause, because
 *   the errors of JSON and of the schema quote what they read.
 */
export function credentialsOf(
  secretId: string,
  secret: string | undefined,
  overrides: Overrides,
): Credentials {
  const parsed = parseSecret(secret, overrides)
  if (parsed.ok) return parsed.value
  throw new SlotkeeperError('credentials', `secret ${secretId}: ${parsed.problems.join('; ')}`)
}

/** A new IAM token for each connection. It is signed locally, without a call to AWS. */
export function iamCredentials(
  overrides: Overrides & { host: string; user: string },
): ReadCredentials {
  const { host, user, port = DEFAULT_PORT, database = DEFAULT_DATABASE } = overrides
  return async () => {
    const { Signer } = await import('./sdk.ts')
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

/** Credentials for all hosts of a target. A secret is read once for all; an IAM token is signed for one host. */
export function credentialsFor(
  auth: { via: 'secret'; secretArn: string } | { via: 'iam'; host: string; user: string },
  overrides: Overrides,
): CredentialsFor {
  if (auth.via === 'iam') {
    return (host = auth.host) => iamCredentials({ ...overrides, user: auth.user, host })
  }
  const readAlone = secretCredentials(auth.secretArn, overrides)
  // After a rotation all hosts refuse the old password at once, and one fresh read is enough for all of them.
  let refreshing: Promise<Credentials> | undefined
  const read: ReadCredentials = (fresh) => {
    if (!fresh) return readAlone(false)
    refreshing ??= readAlone(true).finally(() => {
      refreshing = undefined
    })
    return refreshing
  }
  return (host) => (host === undefined ? read : async (fresh) => ({ ...(await read(fresh)), host }))
}

async function readSecret(secretId: string): Promise<string | undefined> {
  const { SecretsManagerClient, GetSecretValueCommand } = await import('./sdk.ts')
  const region = /^arn:[^:]+:secretsmanager:([^:]+):/.exec(secretId)?.[1]
  const client = new SecretsManagerClient({
    // The secret is read in its own region, whatever region is configured here.
    ...(region !== undefined && { region }),
    ...CLIENT_OPTIONS,
  })
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secretId }))
    return SecretString
  } catch (error) {
    throw new SlotkeeperError(
      'credentials',
      `secret ${secretId} could not be read: ${messageOf(error)}. Check its ARN, secretsmanager:GetSecretValue on it (and kms:Decrypt on its key), and the network path from the subnet to Secrets Manager.`,
      { cause: error },
    )
  } finally {
    client.destroy()
  }
}
