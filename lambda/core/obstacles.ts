import { quoteIdentifier } from './grants.ts'

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
  const name = quoteIdentifier(role)
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
