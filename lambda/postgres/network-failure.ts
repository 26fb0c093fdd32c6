import type { Credentials } from '../core/credentials.ts'
import { messageOf } from '../errors.ts'

/** The server did not answer in time. `reached` tells whether the connection was established. */
export class NoAnswer extends Error {
  readonly reached: boolean

  constructor(timeoutMs: number, reached: boolean) {
    super(`no answer within ${timeoutMs / 1000} s`)
    this.reached = reached
  }
}

/** The answer to the request for TLS is neither of the two letters that PostgreSQL sends, S or N. */
export class StrangeAnswer extends Error {}

/**
 * What to do about a connection that could not be opened, by the socket's code. Each text points to where the
 * fault is. For example, a security group drops what it does not allow, so a refusal (ECONNREFUSED) never
 * comes from one.
 */
const REMEDIES: Record<string, string> = {
  ENOTFOUND:
    'The name is not known: check its spelling, and in a VPC that DNS resolution is on (enableDnsSupport).',
  EAI_AGAIN: 'The name server did not answer: check the way to it, and try again.',
  ECONNREFUSED:
    'Nothing takes connections there: check that the server runs, the host name and the port.',
  ECONNRESET:
    'The other side closed the connection: check that the server runs, and anything in between, such as a tunnel whose far end leads nowhere.',
  EHOSTUNREACH: 'There is no route to it: check the route tables of the subnets, or the VPN.',
  ENETUNREACH: 'There is no route to it: check the route tables of the subnets, or the VPN.',
  ETIMEDOUT: 'Check that the server runs, the security groups and the subnets.',
}
REMEDIES.EPIPE = REMEDIES.ECONNRESET as string

/** The same for a Unix socket, which is named by a folder and a port. */
const SOCKET_REMEDIES: Record<string, string> = {
  ENOENT:
    'No server has its socket there: check the folder (unix_socket_directories) and the port.',
  ENOTDIR: 'That is not a folder: expected the folder in unix_socket_directories.',
  ECONNREFUSED: 'A stopped server left the socket behind: start the server.',
  EACCES: 'This user may not use it: check the permissions of the folder and of the socket.',
  EINVAL: 'The name is too long for a socket: use a shorter one, or TCP.',
}

/** The error text for a connection that could not be opened: what failed, and what to check. */
export function networkFailure(error: unknown, { host, address, port }: Credentials): string {
  const where = address === undefined ? `${host}:${port}` : `${host}:${port} at ${address}`
  return `no connection with ${where}: ${messageOf(error)}. ${remedyOf(error, host)}`
}

function remedyOf(error: unknown, host: string): string {
  if (error instanceof StrangeAnswer) {
    return 'Check host and port: what answers there is not PostgreSQL, or it could not start a process for the connection.'
  }
  if (error instanceof NoAnswer && error.reached) {
    return 'The connection is open, but the server does not answer: check that it is not stopped or overloaded, and that PostgreSQL listens there.'
  }
  const code = String((error as { code?: unknown }).code)
  const remedy = host.startsWith('/') ? SOCKET_REMEDIES[code] : REMEDIES[code]
  return (
    remedy ?? (isHangUp(error) ? (REMEDIES.ECONNRESET as string) : (REMEDIES.ETIMEDOUT as string))
  )
}

/** The driver's error for a stream that ended has no code, like all of the driver's own errors. */
function isHangUp(error: unknown): boolean {
  return error instanceof Error && !(error instanceof NoAnswer) && !('code' in error)
}
