import { escapeIdentifier, escapeLiteral } from 'pg'
import * as v from 'valibot'
import type { ReadCredentials } from '../core/credentials.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { createGate, deadlineIn } from './gate.ts'
import type { Tls } from './tls.ts'

const STATEMENT_MS = 5_000
const LOGIN_MS = 10_000

/** The attributes of a role that decide whether it can log in. */
export type LoginFacts = {
  canLogin: boolean
  /** `VALID UNTIL` of its password has passed. */
  expired: boolean
  /** -1 if there is none. */
  connectionLimit: number
  /** It is a member of `rds_iam`, so it logs in with IAM tokens and not with a password. */
  byToken: boolean
}

/** Everything that keeps the role from logging in, each with the statement that fixes it. */
export function obstacles(role: string, auth: 'secret' | 'iam', facts: LoginFacts): string[] {
  const name = escapeIdentifier(role)
  const { canLogin, expired, connectionLimit, byToken } = facts
  return [
    ...(canLogin ? [] : [`It has no LOGIN: ALTER ROLE ${name} LOGIN;`]),
    ...(expired && auth === 'secret'
      ? [`Its password has expired: ALTER ROLE ${name} VALID UNTIL 'infinity';`]
      : []),
    // A discarded execution environment of the function may still hold one connection.
    ...(connectionLimit === 0 || connectionLimit === 1
      ? [
          `Its CONNECTION LIMIT is ${connectionLimit}, and it needs 2: ALTER ROLE ${name} CONNECTION LIMIT 2;`,
        ]
      : []),
    ...(byToken && auth === 'secret'
      ? [
          `It is a member of rds_iam, so the server accepts no password: REVOKE rds_iam FROM ${name}; or deploy it with iamUser.`,
        ]
      : []),
    ...(!byToken && auth === 'iam'
      ? [`It is not a member of rds_iam: GRANT rds_iam TO ${name};`]
      : []),
  ]
}

const lookAtRole = (role: string) => `
select
  rolcanlogin as "canLogin",
  coalesce(rolvaliduntil <= now(), false) as expired,
  rolconnlimit as "connectionLimit",
  exists (
    select from pg_auth_members join pg_roles owner on owner.oid = roleid
    where member = reaper.oid and owner.rolname = 'rds_iam'
  ) as "byToken"
from pg_roles reaper where rolname = ${escapeLiteral(role)}`

const factsSchema = v.strictTuple([
  v.strictTuple([
    v.object({
      canLogin: v.boolean(),
      expired: v.boolean(),
      connectionLimit: v.number(),
      byToken: v.boolean(),
    }),
  ]),
])

async function readFacts(admin: Link, role: string): Promise<LoginFacts> {
  const [[facts]] = readAnswer(factsSchema, await admin.query(lookAtRole(role), STATEMENT_MS))
  return facts
}

/**
 * Logs in as the role, in each way that a sweep would try.
 * @returns if the server is full, why the login was not tested; a full server does not show a problem of the
 *   role
 * @throws SlotkeeperError that says what keeps the role from logging in, and what to do
 */
export async function checkPassword(
  admin: Link,
  role: string,
  readCredentials: ReadCredentials,
  tls: Tls,
): Promise<string | undefined> {
  const gate = createGate(readCredentials, tls)
  try {
    const link = await gate.open(deadlineIn(LOGIN_MS))
    await link.close()
    return undefined
  } catch (error) {
    if (!(error instanceof SlotkeeperError)) throw error
    if (error.kind === 'exhausted') return `the login was not tried: ${error.message}`
    const found = obstacles(role, 'secret', await readFacts(admin, role))
    throw refusal(role, found.length > 0 ? found : passwordRemedy(error), error)
  }
}

/**
 * Checks what can be checked without a token, because the function that creates the role may not sign one.
 * @throws SlotkeeperError that says what keeps the role from logging in, and what to do
 */
export async function checkToken(admin: Link, role: string): Promise<void> {
  const found = obstacles(role, 'iam', await readFacts(admin, role))
  if (found.length > 0) throw refusal(role, found)
}

/**
 * A role that existed before keeps its password, which can't be read. So a wrong password is only a guess.
 */
function passwordRemedy({ kind }: SlotkeeperError): string[] {
  return kind === 'authentication'
    ? [
        'The role may have existed before with another password than the one in the secret: set the password of the role to that of the secret (in psql, \\password), or correct the secret.',
      ]
    : []
}

function refusal(role: string, remedies: string[], cause?: SlotkeeperError): SlotkeeperError {
  const said = cause === undefined ? '' : ` ${messageOf(cause)}`
  return new SlotkeeperError(
    cause?.kind ?? 'authentication',
    `role ${role} exists and can't log in:${said} ${remedies.join(' ')}`.trimEnd(),
    { cause },
  )
}
