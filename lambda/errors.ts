/**
 * What went wrong, by what the person who reads it has to do:
 * - `settings`: correct the configuration, the event or the policy
 * - `credentials`: correct the secret, or the permission to read it
 * - `authentication`: the role does not exist, or its password or token is missing or not accepted, or
 *   the server asks for a login that is not spoken or not wanted here
 * - `forbidden`: the role is not let in, whatever its password: the database, pg_hba.conf, a pooler in
 *   the server's place, a server that is too old
 * - `exhausted`: every slot is taken and this role has no other way in
 * - `limited`: the role's or the database's own connection limit is used up, not the server
 * - `unreachable`: network, DNS, or a server that does not answer or takes no connections now
 * - `tls`: the server's certificate, or its lack of TLS
 * - `blind`: the role can't see other roles' sessions
 * - `rights`: the role lacks a right that the sweep needs; the message has the GRANT
 * - `query`: the server refused a statement of the sweep
 * - `unexpected`: a fault of Slotkeeper itself: please report it
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

/** The one error that leaves Slotkeeper; its message says what failed, where, and what to do. */
export class SlotkeeperError extends Error {
  /** Lambda's log has the name of the class, which the build would shorten. */
  static override readonly name = 'SlotkeeperError'
  readonly kind: Kind

  constructor(kind: Kind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
    // What Lambda answers has this name as `errorType`.
    this.name = `Slotkeeper.${kind}`
  }
}

/** The text of anything that was thrown. Some socket errors have no message of their own. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && !error.message) {
    return error.errors.map(messageOf).join('; ')
  }
  return error instanceof Error ? error.message : String(error)
}
