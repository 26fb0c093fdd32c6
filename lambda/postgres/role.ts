import { escapeIdentifier, escapeLiteral } from 'pg'
import * as v from 'valibot'
import { PG_16 } from '../core/session.ts'
import { messageOf, SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { FIND_REVOKED, findMissingOf, lacking, missingSchema } from './rights.ts'

/** The role to create, and the server that it is for. */
export type RoleRequest = {
  role: string
  /** As `server_version_num`. */
  serverVersion: number
  /**
   * RDS or Aurora. There a role such as `rds_replication` replaces an attribute that only a superuser may
   * set.
   */
  onRds: boolean
  /** `iam`: the role logs in with IAM tokens. */
  auth: 'secret' | 'iam'
  /**
   * False if the role exists with NOINHERIT or has a grant WITH INHERIT FALSE: it then can't use what it is
   * granted.
   * @default true
   */
  inherits?: boolean
  /**
   * Rights that a sweep needs and that a hardened server revoked from PUBLIC, as GRANT takes them. @default
   * none
   */
  revoked?: string[]
}

/** One statement, which is safe to repeat. */
export type Grant = {
  sql: string
  /** What it lets the role do, as a text for people. */
  purpose: string
  /** True if no sweep works without it. False if the sweep only loses a way to connect to a full server. */
  essential: boolean
}

/**
 * The statements that give a role the least rights that a sweep needs: to see all sessions, to signal
 * sessions of other roles, and to connect when the server is full. They only add rights, so a person's
 * changes to the role stay. `createRole` creates the role itself.
 */
export function grants({
  role,
  serverVersion,
  onRds,
  auth,
  inherits = true,
  revoked = [],
}: RoleRequest): Grant[] {
  const to = escapeIdentifier(role)
  const grant = (name: string, purpose: string, essential: boolean): Grant => ({
    // Before 16 the role's INHERIT applies to all of its grants. From 16 on each grant has its own option.
    sql: `GRANT ${name} TO ${to}${inherits || serverVersion < PG_16 ? '' : ' WITH INHERIT TRUE'};`,
    purpose,
    essential,
  })
  return [
    ...(inherits || serverVersion >= PG_16
      ? []
      : [{ sql: `ALTER ROLE ${to} INHERIT;`, purpose: 'use what it is granted', essential: true }]),
    grant('pg_monitor', "see other roles' sessions", true),
    grant('pg_signal_backend', "end other roles' sessions", true),
    ...(auth === 'iam' ? [grant('rds_iam', 'log in with IAM tokens', true)] : []),
    onRds
      ? grant('rds_replication', "get in through a walsender's slot when the server is full", false)
      : {
          sql: `ALTER ROLE ${to} REPLICATION;`,
          purpose: "get in through a walsender's slot when the server is full",
          essential: false,
        },
    ...(serverVersion >= PG_16
      ? [grant('pg_use_reserved_connections', 'take a slot of reserved_connections', false)]
      : []),
    ...revoked.map((right) => ({
      sql: `GRANT ${right} TO ${to};`,
      purpose: 'use what this server took from PUBLIC',
      essential: true,
    })),
  ]
}

/** The statement that creates the role if it does not exist. An existing role stays as it is. */
export function createRole(role: string, password?: string): string {
  const login = `CREATE ROLE ${escapeIdentifier(role)} LOGIN${password === undefined ? '' : ` PASSWORD ${escapeLiteral(password)}`};`
  return `DO ${escapeLiteral(`BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${escapeLiteral(role)}) THEN
    ${login}
  END IF;
END`)};`
}

const STATEMENT_MS = 5_000

/**
 * Reads CONNECT separately, because it is a right to the database. The other rights are to objects inside it.
 */
const lookAtServer = (role: string) => `
select
  current_setting('server_version_num')::int as "serverVersion",
  exists (select from pg_roles where rolname = 'rds_superuser') as "onRds",
  -- Through JSON, since the column is new in 16.
  coalesce((select r.rolinherit and not exists (
      select from pg_auth_members m
        where m.member = r.oid and to_jsonb(m) ->> 'inherit_option' = 'false')
    from pg_roles r where r.rolname = ${escapeLiteral(role)}), true) as inherits,
  array_to_json(array(
    select 'CONNECT ON DATABASE ' || quote_ident(current_database())
      where not has_database_privilege('public', current_database(), 'connect')
  )) as "withoutConnect";
${FIND_REVOKED}`

/** What decides which grants a role needs on a server. */
export type ServerKind = Required<Omit<RoleRequest, 'role' | 'auth'>>

const serverSchema = v.strictTuple([
  v.strictTuple([
    v.object({
      serverVersion: v.number(),
      onRds: v.boolean(),
      inherits: v.boolean(),
      withoutConnect: v.array(v.string()),
    }),
  ]),
  missingSchema,
])

/** Reads the kind of the server, and the rights that PUBLIC lacks in the connected database. */
export async function readServerKind(link: Link, role: string): Promise<ServerKind> {
  const answer = await link.query(lookAtServer(role), STATEMENT_MS)
  const [[{ withoutConnect, ...server }], missing] = readAnswer(serverSchema, answer)
  return { ...server, revoked: [...withoutConnect, ...missing] }
}

/**
 * Creates the role if it does not exist, and grants what it needs. If an essential grant fails, nothing is
 * changed.
 * @param password for a new role, as a password or a SCRAM verifier; an existing role keeps its own
 * @returns the errors of refused grants that are not essential, as texts
 * @throws SlotkeeperError with the server's message if an essential grant was refused
 */
export async function provide(
  link: Link,
  request: Omit<RoleRequest, keyof ServerKind>,
  password?: string,
): Promise<string[]> {
  const server = await readServerKind(link, request.role)
  await link.query('BEGIN', STATEMENT_MS)
  try {
    await run(link, createRole(request.role, password), `role ${request.role} could not be created`)
    const refused: string[] = []
    for (const grant of grants({ ...request, ...server })) {
      const refusal = await attempt(link, grant)
      if (refusal === undefined) continue
      if (grant.essential) throw refusal
      refused.push(refusal.message)
    }
    await requireRights(link, request.role)
    await link.query('COMMIT', STATEMENT_MS)
    return refused
  } catch (error) {
    // If the connection was lost, the server rolls back by itself.
    await link.query('ROLLBACK', STATEMENT_MS).catch(() => undefined)
    throw error
  }
}

/**
 * GRANT on a function that the administrator does not own only warns, and grants nothing. So this checks the
 * result.
 */
async function requireRights(link: Link, role: string): Promise<void> {
  const answer = await link.query(findMissingOf(role), STATEMENT_MS)
  const [missing] = readAnswer(v.strictTuple([missingSchema]), answer)
  if (missing.length > 0) throw lacking(role, missing)
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
