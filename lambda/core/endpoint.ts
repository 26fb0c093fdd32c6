const REGION = '([a-z]+(?:-[a-z]+)+-\\d)'
/** In China the region stands behind the service. */
const ENDPOINT = new RegExp(
  `\\.(?:${REGION}\\.rds|rds\\.${REGION})\\.amazonaws\\.com(?:\\.cn)?\\.?$`,
)

/** The region in the name of an RDS endpoint. */
export function regionOf(host: string | undefined): string | undefined {
  const [, before, behind] = ENDPOINT.exec(host ?? '') ?? []
  return before ?? behind
}

/** Whether a name is that of an RDS Proxy's endpoint, behind which no server is seen as it is. */
export function isProxyEndpoint(host: string): boolean {
  return /\.proxy-[^.]*\./.test(host)
}

/** Whether a connection with the host never leaves this machine. */
export function isLoopback(host: string | undefined): boolean {
  if (host === undefined) return false
  if (host === 'localhost' || host === '::1' || host.startsWith('/')) return true
  return /^127(\.\d{1,3}){3}$/.test(host)
}
