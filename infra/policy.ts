/**
 * A duration: a number with the unit `ms`, `s`, `m` or `h`.
 * @example '15m'
 */
export type PolicyDuration = `${number}ms` | `${number}s` | `${number}m` | `${number}h`

/**
 * A percentage of the slots that ordinary roles can use.
 * @example '80%'
 */
export type PolicyPercent = `${number}%`

/**
 * Selects sessions. A session matches if it matches every given field. It matches a field if it matches
 * at least one of its entries.
 * @example { users: ['shop_*'], clients: ['10.0.9.0/24'] }
 */
export interface PolicyMatch {
  /**
   * Names or globs of databases. `*` matches any number of characters, `?` exactly one. Case matters.
   * @example ['shop', 'shop_*']
   */
  readonly databases?: string[]
  /**
   * Names or globs of database roles.
   * @example ['shop_*']
   */
  readonly users?: string[]
  /**
   * Names or globs of `application_name`.
   * @example ['pg_dump', 'pgboss']
   */
  readonly applications?: string[]
  /**
   * Networks in CIDR notation, or `local` for clients on the Unix socket.
   * @example ['10.0.9.0/24', 'fd00::/8']
   */
  readonly clients?: string[]
}

/**
 * When a rule applies. If both conditions are given, both must be true.
 * @example { slotsUsedOver: '80%' }
 */
export interface PolicyCondition {
  /**
   * The rule applies only if more than this many sessions in scope are idle.
   * @example 5
   */
  readonly idleOver?: number
  /**
   * The rule applies only if more than this percentage of the slots that ordinary roles can use is taken.
   * @example '80%'
   */
  readonly slotsUsedOver?: PolicyPercent
}

/**
 * Ends sessions that have been in one state for long enough. If a session matches several rules, the
 * first one decides.
 * @example { name: 'stale', state: 'idle', olderThan: '15m' }
 */
export interface PolicyRule {
  /**
   * The name of the rule in the report and the log. It must not begin with `slotkeeper:`.
   * @example 'stale'
   */
  readonly name: string
  /**
   * The state of the session, as `pg_stat_activity` shows it.
   * @example 'idle in transaction'
   */
  readonly state: 'idle' | 'idle in transaction' | 'idle in transaction (aborted)' | 'active'
  /**
   * How long the session must have been in this state, by the server's clock.
   * @example '15m'
   */
  readonly olderThan: PolicyDuration
  /**
   * Limits the rule to these sessions.
   * @example { applications: ['php-fpm'] }
   * @default - every session in scope
   */
  readonly match?: PolicyMatch
  /**
   * Limits the rule to times when this condition is true.
   * @example { idleOver: 5 }
   * @default - always
   */
  readonly when?: PolicyCondition
  /**
   * What the rule does: `terminate` ends the session, `cancel` ends only its query. `cancel` is for state
   * `active` only.
   * @example 'cancel'
   * @default 'terminate'
   */
  readonly action?: 'terminate' | 'cancel'
  /**
   * A note for people, such as where a number comes from. Slotkeeper ignores it.
   * @example 'the longest gap that came back took 22 minutes'
   * @default - none
   */
  readonly $comment?: string
}

/**
 * Says which sessions may be ended. A policy that is imported from a JSON file needs `as PolicyInput`,
 * because TypeScript gives its texts the type `string`. Synthesis validates the policy in any case.
 * @example { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] }
 */
export interface PolicyInput {
  /**
   * Limits the rules to these sessions: a session outside the scope matches no rule. The only exception is
   * a session that an earlier run of Slotkeeper left behind. It is ended unless `protect` matches it.
   * @example { users: ['shop_*'] }
   * @default - every session
   */
  readonly scope?: PolicyMatch
  /**
   * Sessions that are never touched, even if they match a rule.
   * @example [{ applications: ['pg_dump'] }]
   * @default - none beyond the built-in protections
   */
  readonly protect?: PolicyMatch[]
  /**
   * The rules, in order. The first rule that a session matches decides.
   * @example [{ name: 'stale', state: 'idle', olderThan: '15m' }]
   */
  readonly rules: PolicyRule[]
  /**
   * How many idle sessions to keep in each pool: those that were used most recently. A pool is all
   * sessions with the same user, database, application and client address.
   * @example 2
   * @default 0
   */
  readonly keep?: number
  /**
   * The maximum number of sessions that one sweep ends. Those that have been in their state longest are
   * ended first.
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
  /**
   * A note for people. Slotkeeper ignores it.
   * @example 'proved with the recordings of May'
   * @default - none
   */
  readonly $comment?: string
}
