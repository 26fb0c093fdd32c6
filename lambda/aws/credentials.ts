import {
  type Credentials,
  DEFAULT_DATABASE,
  DEFAULT_PORT,
  type Overrides,
  parseSecret,
  type ReadCredentials,
} from '../core/credentials.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { CLIENT_OPTIONS } from './client-options.ts'

/** Credentials from a Secrets Manager secret, read once and kept until a fresh read is asked for. */
export function secretCredentials(secretId: string, overrides: Overrides): ReadCredentials {
  let cached: Promise<Credentials> | undefined
  return (fresh) => {
    if (!cached || fresh) {
      const reading = readSecret(secretId).then((secret) =>
        credentialsOf(secretId, secret, overrides),
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

/**
 * What a secret says, configuration first.
 * @throws SlotkeeperError of kind `credentials` that names the secret and the field. It has no cause: errors of JSON and
 *   of the schema quote what they read.
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
    ...CLIENT_OPTIONS,
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
