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
