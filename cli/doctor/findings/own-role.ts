import { grantUsable } from '../../../lambda/postgres/rights.ts'
import { createRole, grants } from '../../../lambda/postgres/role.ts'
import { type Case, isTight, roleOf } from '../case.ts'
import type { Finding, Remedy } from '../diagnosis.ts'
import type { RoleFacts } from '../facts.ts'
import { identifier } from '../quote.ts'
import { plural } from '../words.ts'

/** What a role needs that sweeps, and what PostgreSQL grants with it. */
const NEEDED = [
  'pg_monitor',
  'pg_signal_backend',
  'pg_use_reserved_connections',
  'pg_read_all_settings',
  'pg_read_all_stats',
  'pg_stat_scan_tables',
  'rds_replication',
  'rds_iam',
]

const DEFAULT_ROLE = 'slotkeeper'

/** Part of what the doctor reads was refused: functions or catalogs that this server took from PUBLIC. */
export function findBlind({ observed, last }: Case): Finding[] {
  const { missing, settings, roles, holders } = observed.facts
  if (missing.length === 0) return []
  const unread = [
    ...(settings === null ? ['settings'] : []),
    ...(roles === null ? ['roles and their limits'] : []),
    ...(holders === null ? ['locks'] : []),
    ...(last.counters.length === 0 ? ['statistics'] : []),
    ...(last.traces.size === 0 ? ['last queries'] : []),
  ]
  return [
    {
      id: 'blind',
      severity: 'warning',
      title: `Role ${last.snapshot.ownUser} can't read ${unread.join(', ') || 'everything'}: this server took rights from PUBLIC`,
      evidence: { missing, unread },
      remedies: [
        {
          kind: 'sql',
          text: missing.join('\n'),
          why: 'As an administrator, in the database that the doctor connects to. The other findings are made without it.',
        },
      ],
    },
  ]
}

/** The role sees, and may not end, sessions of others. */
export function findCannotSignal({ last }: Case): Finding[] {
  const { maySignal, ownUser, serverVersion, signaller, sessions, ownPid } = last.snapshot
  const foreign = sessions.filter(({ pid, owned }) => pid !== ownPid && !owned)
  if (maySignal || foreign.length === 0) return []
  return [
    {
      id: 'cannot-signal',
      severity: 'info',
      title: `Role ${ownUser} may look at ${plural(foreign.length, 'session')} of other roles and not end them`,
      evidence: { role: ownUser, sessions: foreign.length },
      remedies: [
        {
          kind: 'sql',
          text: grantUsable('pg_signal_backend', { role: ownUser, serverVersion, ...signaller }),
          why: 'Only if this role is to reap. To look, it needs no more than it has.',
        },
      ],
    },
  ]
}

/** On a full server this role could not connect. */
export function findNoWayIn(now: Case): Finding[] {
  const { observed, last } = now
  const { ownUser, serverVersion } = last.snapshot
  const role = roleOf(now, ownUser)
  const { settings, roles } = observed.facts
  if (role === undefined || settings === null || roles === null) return []
  const isMember = (name: string) => roles.roles.some((other) => other.name === name && other.own)
  const hasReserve = settings.reservedConnections > 0 && isMember('pg_use_reserved_connections')
  const walsenders = settings.values.max_wal_senders ?? 0
  const hasWalsender = walsenders > 0 && (role.replication || isMember('rds_replication'))
  // A superuser has superuser_reserved_connections; on RDS the master user has a reserve of its own.
  if (role.superuser || role.master || hasReserve || hasWalsender) return []
  const isRds = settings.kind !== 'community'
  const optional = grants({ role: ownUser, serverVersion, onRds: isRds, auth: 'secret' }).filter(
    ({ essential }) => !essential,
  )
  const useful = optional.filter(({ sql }) =>
    sql.includes('pg_use_reserved_connections') ? settings.reservedConnections > 0 : walsenders > 0,
  )
  return [
    {
      id: 'no-way-in',
      severity: isTight(now) ? 'warning' : 'info',
      title: `Role ${ownUser} can't connect when every slot is taken`,
      evidence: {
        role: ownUser,
        maxWalSenders: walsenders,
        reservedConnections: settings.reservedConnections,
      },
      remedies:
        useful.length > 0
          ? useful.map(({ sql, purpose }) => ({
              kind: 'sql' as const,
              text: sql,
              why: sql.includes('pg_use_reserved')
                ? `It can then ${purpose}.`
                : `It can then ${purpose}. It can also read all data, from the write-ahead log.`,
            }))
          : [
              {
                kind: 'parameter' as const,
                text: 'max_wal_senders = 10',
                why: `The server has no slots for walsenders, and no reserve that this role may use. Then: ${optional[0]?.sql ?? ''}`,
              },
            ],
    },
  ]
}

/** The role has more than a sweep needs, so whoever has its password has that too. */
export function findTooMighty(now: Case): Finding[] {
  const { observed, last } = now
  const { ownUser } = last.snapshot
  const role = roleOf(now, ownUser)
  const { roles } = observed.facts
  if (role === undefined || roles === null) return []
  const attributes = attributesOf(role)
  const extra = roles.granted.filter((name) => !NEEDED.includes(name))
  if (attributes.length === 0 && extra.length === 0 && !role.master) return []
  const has = [
    ...(role.master && !role.superuser ? ['the rights of the master user'] : []),
    ...attributes,
    ...extra,
  ]
  return [
    {
      id: 'too-mighty',
      severity: 'info',
      title: `Role ${ownUser} has more than it needs to look or to reap: ${has.join(', ')}`,
      evidence: { role: ownUser, attributes, memberOf: extra, master: role.master },
      remedies: isAdministrator(role) ? leastRole(now) : [revoke(ownUser, attributes, extra)],
    },
  ]
}

const ATTRIBUTES = {
  superuser: 'SUPERUSER',
  createRole: 'CREATEROLE',
  createDatabase: 'CREATEDB',
  bypassRls: 'BYPASSRLS',
} as const satisfies Partial<Record<keyof RoleFacts, string>>

function attributesOf(role: RoleFacts): string[] {
  return (Object.keys(ATTRIBUTES) as (keyof typeof ATTRIBUTES)[])
    .filter((key) => role[key])
    .map((key) => ATTRIBUTES[key])
}

/** Somebody works with this role. To take its rights away would lock people out. */
function isAdministrator(role: RoleFacts): boolean {
  return role.superuser || role.master || role.createRole
}

function revoke(role: string, attributes: string[], extra: string[]): Remedy {
  const statements = [
    ...(attributes.length > 0
      ? [
          `ALTER ROLE ${identifier(role)} ${attributes.map((attribute) => `NO${attribute}`).join(' ')};`,
        ]
      : []),
    ...extra.map((name) => `REVOKE ${identifier(name)} FROM ${identifier(role)};`),
  ]
  return {
    kind: 'sql',
    text: statements.join('\n'),
    why: 'If nothing else uses this role. Its password is in a secret, and whoever reads that has all of this.',
  }
}

/** A role of its own, with the least rights. */
function leastRole({ observed, last }: Case): Remedy[] {
  const { serverVersion } = last.snapshot
  const onRds = (observed.facts.settings?.kind ?? 'community') !== 'community'
  if (observed.facts.roles?.roles.some(({ name }) => name === DEFAULT_ROLE)) return []
  const needed = grants({ role: DEFAULT_ROLE, serverVersion, onRds, auth: 'secret' }).filter(
    ({ essential }) => essential,
  )
  return [
    {
      kind: 'sql',
      text: [createRole(DEFAULT_ROLE), ...needed.map(({ sql }) => sql)].join('\n'),
      why: `An administrator may look. For a sweep by itself use a role with the least rights: set its password with \\password ${DEFAULT_ROLE}. "slotkeeper grants" prints all of it, with the ways in to a full server.`,
    },
  ]
}
