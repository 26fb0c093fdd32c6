import type { Method } from '../core/credentials.ts'

/** What a login must satisfy. Without demands, every supported method is accepted. */
export type LoginDemands = {
  methods?: readonly Method[] | undefined
  /** The password's proof must be tied to the TLS connection (SCRAM-SHA-256-PLUS). */
  requireBinding?: boolean | undefined
}

/**
 * A login that Slotkeeper itself gives up:
 * - `password`: the server asks for a password, and none is given
 * - `method`: Slotkeeper does not support the method that the server asks for
 * - `demand`: the login does not satisfy `require_auth` or `channel_binding`
 * - `cost`: the password's proof would take more time than a sweep has
 */
export class LoginRefused extends Error {
  readonly reason: 'password' | 'method' | 'demand' | 'cost'

  constructor(reason: LoginRefused['reason'], asked: string) {
    super(asked)
    this.reason = reason
  }
}

/** Codes of the authentication requests, and their methods (PostgreSQL's manual, Message Formats). */
const OK = 0
const SASL = 10
const SASL_CONTINUE = 11
const SASL_FINAL = 12
const PLAIN_METHODS = new Map<number, Method>([
  [3, 'password'],
  [5, 'md5'],
])
const FOREIGN_METHODS = new Map([
  [2, 'Kerberos V5'],
  [4, 'crypt'],
  [6, 'the credentials of a local socket'],
  [7, 'GSSAPI'],
  [8, 'GSSAPI'],
  [9, 'SSPI'],
])

/**
 * The limit for the iterations of a password's proof. Slotkeeper spends this time before it knows whether the
 * server is the right one. This number of iterations took 0.15 s of a whole processor, and a function with
 * 128 MB has a fourteenth of a processor.
 */
const MOST_ITERATIONS = 1_000_000

/**
 * Checks each authentication request before the driver answers it.
 * @throws LoginRefused from the function that it returns
 */
export function createLoginGuard({
  methods,
  requireBinding = false,
}: LoginDemands): (code: number, data: Buffer) => void {
  let met: Method = 'none'
  let proven = false
  const meet = (method: Method) => {
    met = method
    if (methods && !methods.includes(method)) {
      throw new LoginRefused(
        'demand',
        `the server asks for ${method}, not for ${methods.join(', ')}`,
      )
    }
    if (requireBinding && method !== 'scram-sha-256') {
      throw new LoginRefused(
        'demand',
        `the server asks for ${method}, which has no channel binding`,
      )
    }
  }
  const letIn = () => {
    if (met === 'none') meet('none')
    if (met === 'scram-sha-256' && !proven) {
      throw new LoginRefused(
        'demand',
        'the server accepts the login without proving that it knows the password',
      )
    }
  }
  return (code, data) => {
    const plain = PLAIN_METHODS.get(code)
    if (plain) return meet(plain)
    switch (code) {
      case OK:
        return letIn()
      case SASL:
        refuseMechanisms(data, requireBinding)
        return meet('scram-sha-256')
      case SASL_CONTINUE:
        return refuseIterations(data)
      case SASL_FINAL:
        proven = true
        return
      default:
        throw new LoginRefused(
          'method',
          `the server asks for ${FOREIGN_METHODS.get(code) ?? `method ${code}`}`,
        )
    }
  }
}

function refuseMechanisms(data: Buffer, requireBinding: boolean): void {
  const offered = data.toString('latin1').split('\0').filter(Boolean)
  if (!offered.some((name) => /^SCRAM-SHA-256(-PLUS)?$/.test(name))) {
    throw new LoginRefused('method', `the server asks for ${offered.join(', ')}`)
  }
  if (requireBinding && !offered.includes('SCRAM-SHA-256-PLUS')) {
    throw new LoginRefused('demand', 'the server offers no channel binding')
  }
}

function refuseIterations(data: Buffer): void {
  const iterations = /(?:^|,)i=(\d+)/.exec(data.toString('latin1'))?.[1]
  if (Number(iterations) > MOST_ITERATIONS) {
    throw new LoginRefused('cost', `the role's password was set with ${iterations} iterations`)
  }
}
