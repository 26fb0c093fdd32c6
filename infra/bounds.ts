import type { PolicyDuration } from './policy.ts'

/**
 * Limits that the server itself keeps for one role of an application. New sessions have them; sessions that
 * are open keep what they have. Give at least one limit.
 * @example { user: 'shop_app', idleSessionTimeout: '1h', connectionLimit: 60 }
 */
export interface ServerBound {
  /**
   * The role. It must exist.
   * @example 'shop_app'
   */
  readonly user: string
  /**
   * The timeouts apply only in this database. It must exist.
   * @example 'shop'
   * @default - every database
   */
  readonly database?: string
  /**
   * After how long the server ends a session that is idle outside of a transaction
   * (`idle_session_timeout`). It ends listeners and holders of advisory locks too.
   * @example '1h'
   * @default - as it is
   */
  readonly idleSessionTimeout?: PolicyDuration
  /**
   * After how long the server ends a session that is idle in a transaction
   * (`idle_in_transaction_session_timeout`).
   * @example '5m'
   * @default - as it is
   */
  readonly idleInTransactionSessionTimeout?: PolicyDuration
  /**
   * After how long the server ends a session whose transaction is open for longer, idle or not
   * (`transaction_timeout`). An older server than PostgreSQL 17 lacks it: the log says so, and the others are set.
   * @example '30m'
   * @default - as it is
   */
  readonly transactionTimeout?: PolicyDuration
  /**
   * How many sessions the role may have at once, in all databases together (`CONNECTION LIMIT`): a whole number
   * from 1. It can't be given together with `database`, nor for a superuser.
   * @example 60
   * @default - as it is
   */
  readonly connectionLimit?: number
}
