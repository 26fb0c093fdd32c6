/** What the role is for, and where. */
export type RoleRequest = {
  role: string
  /** As `server_version_num`. */
  serverVersion: number
  /** RDS and Aurora: roles of the service stand for attributes that only a superuser gives. */
  onRds: boolean
  /** `iam`: the role logs in with IAM tokens. */
  auth: 'secret' | 'iam'
  /**
   * False where the role exists with NOINHERIT, or has a grant WITH INHERIT FALSE: it then may not use what it
   * is granted. @default true
   */
  inherits?: boolean
  /** Rights that a sweep needs and that a hardened server took from PUBLIC, as GRANT takes them. @default none */
  revoked?: string[]
}

/** One statement, safe to run again. */
export type Grant = {
  sql: string
  /** What it lets the role do, for people. */
  purpose: string
  /** Without it the sweep can't do its job; else it does without a way in. */
  essential: boolean
}

/** `server_version_num` from which on a grant says itself whether it is inherited. */
export const PG_16 = 160000

/**
 * The least role: it sees all sessions, signals those of other roles, and gets in when the server is
 * full. Only adds: what a person made of the role stays. The role itself is made by `createRole`.
 */
export function grants({
  role,
  serverVersion,
  onRds,
  auth,
  inherits = true,
  revoked = [],
}: RoleRequest): Grant[] {
  const to = quoteIdentifier(role)
  const grant = (name: string, purpose: string, essential: boolean): Grant => ({
    // Before 16 the role decides for all of its grants, from 16 on each grant for itself.
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

/** What a role has of another one whose rights it may not use. */
export type Membership = {
  role: string
  /** As `server_version_num`. */
  serverVersion: number
  /** Member of the other one, directly or not. */
  isMember: boolean
  /** False where the role has NOINHERIT. */
  inherits: boolean
}

/** The statements after which the role may use the rights of another one. */
export function grantUsable(
  other: string,
  { role, serverVersion, isMember, inherits }: Membership,
): string {
  const to = quoteIdentifier(role)
  const grant = `GRANT ${other} TO ${to}`
  // Without the option a grant that is repeated changes nothing, and a new one inherits as the role does.
  if (serverVersion >= PG_16) {
    return isMember || !inherits ? `${grant} WITH INHERIT TRUE;` : `${grant};`
  }
  const inherit = `ALTER ROLE ${to} INHERIT;`
  if (inherits) return `${grant};`
  return isMember ? inherit : `${grant}; ${inherit}`
}

/** Makes the role where it is missing, and leaves it alone where it is not. */
export function createRole(role: string, password?: string): string {
  const login = `CREATE ROLE ${quoteIdentifier(role)} LOGIN${password === undefined ? '' : ` PASSWORD ${quoteLiteral(password)}`};`
  return `DO ${quoteLiteral(`BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${quoteLiteral(role)}) THEN
    ${login}
  END IF;
END`)};`
}

/** A name as SQL takes it, whatever is in it. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** As `pg` quotes literals: a backslash counts as itself under every setting. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return text.includes('\\') ? ` E${quoted}` : quoted
}
