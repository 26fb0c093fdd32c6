/**
 * The kind of a failure. It tells the reader what to do or to check:
 * - `settings`: correct the configuration, the event or the policy
 * - `credentials`: correct the secret, or the permission to read it
 * - `authentication`: the role does not exist; its password or token is missing or not accepted; or the
 *   server asks for an authentication method that Slotkeeper does not support or the configuration does not
 *   allow
 * - `forbidden`: the role may not connect, whatever its password. The reason is the database, pg_hba.conf, a
 *   pooler in place of the server, or a server that is too old
 * - `exhausted`: every slot is taken, and this role has no other way in
 * - `limited`: the connection limit of the role or of the database is used up; the server itself is not full
 * - `unreachable`: network, DNS, or a server that does not answer or accepts no connections now
 * - `tls`: a certificate or a TLS version that is not accepted, or a server without TLS
 * - `blind`: the role can't see other roles' sessions
 * - `rights`: the role lacks a right that the sweep needs; the message has the GRANT
 * - `query`: the server refused a statement of the sweep
 * - `unexpected`: a bug in Slotkeeper; please report it
 * - `publish`: CloudWatch did not take the metrics
 */
export type Kind =
  | 'settings'
  | 'credentials'
  | 'authentication'
  | 'forbidden'
  | 'exhausted'
  | 'limited'
  | 'unreachable'
  | 'tls'
  | 'blind'
  | 'rights'
  | 'query'
  | 'unexpected'
  | 'publish'

/**
 * The only error that Slotkeeper throws to its caller. Its message says what failed, where, and what to do.
 */
export class SlotkeeperError extends Error {
  /** Lambda logs the name of the class. Without this line the build would shorten it. */
  static override readonly name = 'SlotkeeperError'
  readonly kind: Kind

  constructor(kind: Kind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
    // Lambda's response has this name as `errorType`.
    this.name = `Slotkeeper.${kind}`
  }
}

/**
 * The text of anything that was thrown. For some socket errors, only the errors inside an AggregateError have
 * one.
 */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && !error.message) {
    return error.errors.map(messageOf).join('; ')
  }
  return error instanceof Error ? error.message : String(error)
}

/** Anything that was thrown, as the error that the caller gets. What nobody expected is a bug in Slotkeeper. */
export function asFailure(error: unknown): SlotkeeperError {
  if (error instanceof SlotkeeperError) return error
  return new SlotkeeperError('unexpected', `unexpected failure: ${messageOf(error)}`, {
    cause: error,
  })
}
