import { EXAMPLE_KEYS } from '../../stand-ins/aws.ts'
import { type Lambda, startLambda } from '../../stand-ins/lambda.ts'
import type { Server } from '../../stand-ins/postgres.ts'
import type { Role } from './server.ts'

export const SECRET = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:test'

const FUNCTION_TIMEOUT_MS = 30_000

/** A secret as the rotation templates write it. */
export function secretOf({ host, port }: Pick<Server, 'host' | 'port'>, role: Role): string {
  const { user: username, password } = role
  return JSON.stringify({ username, password, host, port: String(port) })
}

/** The built function, for the server that the secret names, with stand-ins of AWS. */
export function startFunction(
  awsUrl: string,
  /** Beside those of a whole configuration, or in their place; undefined leaves one out. */
  environment: Record<string, string | undefined> = {},
  timeoutMs = FUNCTION_TIMEOUT_MS,
): Promise<Lambda> {
  const variables = Object.entries({
    ...EXAMPLE_KEYS,
    AWS_ENDPOINT_URL: awsUrl,
    SLOTKEEPER_TARGET: 'shop',
    SLOTKEEPER_MODE: 'reap',
    SLOTKEEPER_POLICY: JSON.stringify({
      scope: { users: ['shop_*'] },
      rules: [{ name: 'now', state: 'idle', olderThan: '0s' }],
    }),
    SLOTKEEPER_SECRET_ARN: SECRET,
    SLOTKEEPER_HOST: '127.0.0.1',
    SLOTKEEPER_TLS: 'off',
    ...environment,
  })
  return startLambda({
    bundle: 'dist/lambda',
    bootstrap: 'dist/bootstrap.mjs',
    timeoutMs,
    environment: Object.fromEntries(
      variables.filter((variable): variable is [string, string] => variable[1] !== undefined),
    ),
  })
}

/** The function's own log lines; Node.js may write warnings between them. */
export const entries = ({ lines }: Lambda) =>
  lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
