import ipaddr from 'ipaddr.js'

const REGION = '([a-z]+(?:-[a-z]+)+-\\d)'
/** In China the region comes after the service. */
const ENDPOINT = new RegExp(
  `\\.(?:${REGION}\\.rds|rds\\.${REGION})\\.amazonaws\\.com(?:\\.cn)?\\.?$`,
)

/** The AWS region in the name of an RDS endpoint; undefined for any other host. */
export function regionOf(host: string | undefined): string | undefined {
  const [, before, behind] = ENDPOINT.exec(host ?? '') ?? []
  return before ?? behind
}

/** Whether a host is the endpoint of an RDS Proxy, which hides the sessions of the server behind it. */
export function isProxyEndpoint(host: string): boolean {
  return /\.proxy-[^.]*\./.test(host)
}

/** Whether a connection to the host never leaves this machine: the loopback, or a Unix socket. */
export function isLoopback(host: string | undefined): boolean {
  if (host === undefined) return false
  if (host === 'localhost' || host === '::1' || host.startsWith('/')) return true
  return ipaddr.IPv4.isValidFourPartDecimal(host) && host.startsWith('127.')
}
