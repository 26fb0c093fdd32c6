import type { Credentials } from '../core/credentials.ts'
import { messageOf } from '../errors.ts'

/** The server did not answer in time: it was not reached, or it was, and said nothing. */
export class NoAnswer extends Error {
  readonly reached: boolean

  constructor(timeoutMs: number, reached: boolean) {
    super(`no answer within ${timeoutMs / 1000} s`)
    this.reached = reached
  }
}

/** What answered the request for TLS is neither of the two letters that PostgreSQL answers it with. */
export class StrangeAnswer extends Error {}

/**
 * What mends a connection that did not come about or was lost, by the socket's code. Each sends its
 * reader to where the fault is: security groups drop what they do not let through, and refuse nothing.
 */
const REMEDIES: Record<string, string> = {
  ENOTFOUND:
    'The name is not known: check its spelling, and in a VPC that DNS resolution is on (enableDnsSupport).',
  EAI_AGAIN: 'The name server did not answer: check the way to it, and try again.',
  ECONNREFUSED:
    'Nothing takes connections there: check that the server runs, the host name and the port.',
  ECONNRESET:
    'The other side hung up: check that the server runs, and what stands on the way, such as a tunnel whose far end leads nowhere.',
  EHOSTUNREACH: 'There is no way there: check the route tables of the subnets, or the VPN.',
  ENETUNREACH: 'There is no way there: check the route tables of the subnets, or the VPN.',
  ETIMEDOUT: 'Check that the server runs, the security groups and the subnets.',
}
REMEDIES.EPIPE = REMEDIES.ECONNRESET as string

/** Of a Unix socket, whose name is a folder and a port. */
const SOCKET_REMEDIES: Record<string, string> = {
  ENOENT:
    'No server has its socket there: check the folder (unix_socket_directories) and the port.',
  ENOTDIR: 'That is not a folder: expected the one of unix_socket_directories.',
  ECONNREFUSED: 'The socket is one that a server has left behind: start the server.',
  EACCES: 'This user may not use it: check the permissions of the folder and of the socket.',
  EINVAL: 'The name is longer than a socket may have: use a shorter one, or TCP.',
}

/** A sentence for the reader: what did not work, and what to look at. */
export function networkFailure(error: unknown, { host, address, port }: Credentials): string {
  const where = address === undefined ? `${host}:${port}` : `${host}:${port} at ${address}`
  return `no connection with ${where}: ${messageOf(error)}. ${remedyOf(error, host)}`
}

function remedyOf(error: unknown, host: string): string {
  if (error instanceof StrangeAnswer) {
    return 'Check host and port: what answers there is not PostgreSQL, or it could not start a process for the connection.'
  }
  if (error instanceof NoAnswer && error.reached) {
    return 'The connection stands, but the server says nothing: check that it is not stopped or overloaded, and that it is PostgreSQL which listens there.'
  }
  const code = String((error as { code?: unknown }).code)
  const remedy = host.startsWith('/') ? SOCKET_REMEDIES[code] : REMEDIES[code]
  return (
    remedy ?? (isHangUp(error) ? (REMEDIES.ECONNRESET as string) : (REMEDIES.ETIMEDOUT as string))
  )
}

/** The driver's error for a stream that ended has a text only, as has any of its own. */
function isHangUp(error: unknown): boolean {
  return error instanceof Error && !(error instanceof NoAnswer) && !('code' in error)
}
