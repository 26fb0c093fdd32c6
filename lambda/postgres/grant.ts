import * as v from 'valibot'
import { createRole, type Grant, grants, type RoleRequest } from '../core/grants.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'

const STATEMENT_MS = 5_000

const LOOK_AT_SERVER = `
select
  current_setting('server_version_num')::int as "serverVersion",
  exists (select from pg_roles where rolname = 'rds_superuser') as "onRds"`

/** What tells which grants a server knows. */
export type ServerKind = Pick<RoleRequest, 'serverVersion' | 'onRds'>

const serverSchema = v.strictTuple([
  v.strictTuple([v.object({ serverVersion: v.number(), onRds: v.boolean() })]),
])

export async function lookAtServer(link: Link): Promise<ServerKind> {
  const [[kind]] = readAnswer(serverSchema, await link.query(LOOK_AT_SERVER, STATEMENT_MS))
  return kind
}

/**
 * Makes the role where it is missing and grants what it needs: all that is essential, or nothing.
 * @param password of a new role; an existing one keeps its own
 * @returns what was refused of the grants that the sweep can do without, in words
 * @throws SlotkeeperError with the server's words where an essential grant was refused
 */
export async function provide(
  link: Link,
  request: Omit<RoleRequest, keyof ServerKind>,
  password?: string,
): Promise<string[]> {
  const server = await lookAtServer(link)
  await link.query('BEGIN', STATEMENT_MS)
  try {
    await run(link, createRole(request.role, password), `role ${request.role} could not be made`)
    const refused: string[] = []
    for (const grant of grants({ ...request, ...server })) {
      const refusal = await attempt(link, grant)
      if (refusal === undefined) continue
      if (grant.essential) throw refusal
      refused.push(refusal.message)
    }
    await link.query('COMMIT', STATEMENT_MS)
    return refused
  } catch (error) {
    // On a connection that was lost the server does so by itself.
    await link.query('ROLLBACK', STATEMENT_MS).catch(() => undefined)
    throw error
  }
}

async function attempt(link: Link, { sql, purpose }: Grant): Promise<SlotkeeperError | undefined> {
  await link.query('SAVEPOINT before_grant', STATEMENT_MS)
  try {
    await run(link, sql, `"${sql}" (to ${purpose})`)
    return undefined
  } catch (error) {
    if (!(error instanceof SlotkeeperError) || error.kind !== 'query') throw error
    await link.query('ROLLBACK TO SAVEPOINT before_grant', STATEMENT_MS)
    return error
  }
}

async function run(link: Link, sql: string, what: string): Promise<void> {
  try {
    await link.query(sql, STATEMENT_MS)
  } catch (error) {
    const kind = error instanceof SlotkeeperError ? error.kind : 'query'
    throw new SlotkeeperError(kind, `${what}: ${messageOf(error)}`, { cause: error })
  }
}
