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

/** What a server knows of a role that decides on its login. */
export type LoginFacts = {
  canLogin: boolean
  /** Its password is past `VALID UNTIL`. */
  expired: boolean
  /** -1 where there is none. */
  connectionLimit: number
  /** Member of `rds_iam`, which takes IAM tokens and no password. */
  byToken: boolean
}

/** What keeps the role from logging in, each with the statement that mends it. */
export function obstacles(role: string, auth: 'secret' | 'iam', facts: LoginFacts): string[] {
  const name = escapeIdentifier(role)
  const { canLogin, expired, connectionLimit, byToken } = facts
  return [
    ...(canLogin ? [] : [`It has no LOGIN: ALTER ROLE ${name} LOGIN;`]),
    ...(expired && auth === 'secret'
      ? [`Its password has expired: ALTER ROLE ${name} VALID UNTIL 'infinity';`]
      : []),
    // One may still be held by an environment of the function that was discarded.
    ...(connectionLimit === 0 || connectionLimit === 1
      ? [
          `Its CONNECTION LIMIT is ${connectionLimit}, and it needs 2: ALTER ROLE ${name} CONNECTION LIMIT 2;`,
        ]
      : []),
    ...(byToken && auth === 'secret'
      ? [
          `It is a member of rds_iam, so that no password is taken: REVOKE rds_iam FROM ${name}; or deploy it with iamUser.`,
        ]
      : []),
    ...(!byToken && auth === 'iam'
      ? [`It is no member of rds_iam: GRANT rds_iam TO ${name};`]
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
 * Logs in as the role, by the ways that a sweep has.
 * @returns why that could not be tried, where the server is full: that is no fault of the role
 * @throws SlotkeeperError that says what keeps the role out, and what to do
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
    throw refusal(role, found.length > 0 ? found : unseen(error), error)
  }
}

/** As far as it can be told without a token: the function that makes the role may sign none. */
export async function checkToken(admin: Link, role: string): Promise<void> {
  const found = obstacles(role, 'iam', await readFacts(admin, role))
  if (found.length > 0) throw refusal(role, found)
}

/** A role that was there before keeps its password, which nobody can read. */
function unseen({ kind }: SlotkeeperError): string[] {
  return kind === 'authentication'
    ? [
        'The role may have been there before, with another password than the secret has: set it to that (in psql, \\password), or correct the secret.',
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
