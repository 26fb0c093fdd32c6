/**
 * How long: a number with `ms`, `s`, `m` or `h`.
 * @example '15m'
 */
export type PolicyDuration = `${number}ms` | `${number}s` | `${number}m` | `${number}h`

/**
 * A share of the slots that ordinary roles can use.
 * @example '80%'
 */
export type PolicyPercent = `${number}%`

/**
 * Which sessions. Every field that is given must match; within a field, any one entry.
 * @example { users: ['shop_*'], clients: ['10.0.9.0/24'] }
 */
export interface PolicyMatch {
  /**
   * Names or globs: `*` is any run of characters, `?` exactly one; case counts.
   * @example ['shop', 'shop_*']
   */
  readonly databases?: string[]
  /**
   * Names or globs of roles.
   * @example ['shop_*']
   */
  readonly users?: string[]
  /**
   * Names or globs of `application_name`.
   * @example ['pg_dump', 'pgboss']
   */
  readonly applications?: string[]
  /**
   * Networks, or `local` for the Unix socket.
   * @example ['10.0.9.0/24', 'fd00::/8']
   */
  readonly clients?: string[]
}

/**
 * When a rule is due at all: one condition, or both.
 * @example { slotsUsedOver: '80%' }
 */
export interface PolicyCondition {
  /**
   * More than this many idle sessions in scope.
   * @example 5
   */
  readonly idleOver?: number
  /**
   * More than this share of the slots that ordinary roles can use is taken.
   * @example '80%'
   */
  readonly slotsUsedOver?: PolicyPercent
}

/**
 * Ends a session that was in one state for long enough. The first rule that a session meets decides.
 * @example { name: 'stale', state: 'idle', olderThan: '15m' }
 */
export interface PolicyRule {
  /**
   * What the report and the log call it; it does not begin with `slotkeeper:`.
   * @example 'stale'
   */
  readonly name: string
  /**
   * The state in `pg_stat_activity`.
   * @example 'idle in transaction'
   */
  readonly state: 'idle' | 'idle in transaction' | 'idle in transaction (aborted)' | 'active'
  /**
   * The least time in that state, by the server's clock.
   * @example '15m'
   */
  readonly olderThan: PolicyDuration
  /**
   * The sessions that the rule is for.
   * @example { applications: ['php-fpm'] }
   * @default - every session in scope
   */
  readonly match?: PolicyMatch
  /**
   * When the rule is due.
   * @example { idleOver: 5 }
   * @default - always
   */
  readonly when?: PolicyCondition
  /**
   * `cancel` ends the query and leaves the session; for state `active` only.
   * @example 'cancel'
   * @default 'terminate'
   */
  readonly action?: 'terminate' | 'cancel'
}

/**
 * Which sessions may be ended. A policy from a JSON file needs `as PolicyInput`, because TypeScript
 * reads its texts as `string`; synthesis checks it either way.
 * @example { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] }
 */
export interface PolicyInput {
  /**
   * The sessions that may be touched at all.
   * @example { users: ['shop_*'] }
   * @default - every session
   */
  readonly scope?: PolicyMatch
  /**
   * The sessions that are never touched; beats every rule.
   * @example [{ applications: ['pg_dump'] }]
   * @default - none beyond the built-in protections
   */
  readonly protect?: PolicyMatch[]
  /**
   * The rules, in the order in which they are asked.
   * @example [{ name: 'stale', state: 'idle', olderThan: '15m' }]
   */
  readonly rules: PolicyRule[]
  /**
   * Leaves this many of the most recently used idle sessions of each pool: user, database, application
   * and client address.
   * @example 2
   * @default 0
   */
  readonly keep?: number
  /**
   * The most sessions that one sweep ends, the longest in their state first.
   * @example 200
   * @default - no limit
   */
  readonly budget?: number
  /**
   * Where an editor finds the JSON Schema of a policy file. Slotkeeper ignores it.
   * @example './node_modules/slotkeeper/dist/policy.schema.json'
   * @default - none
   */
  readonly $schema?: string
}
