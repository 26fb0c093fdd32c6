import { once } from 'node:events'
import { createServer } from 'node:http'

const NAMESPACE = 'http://rds.amazonaws.com/doc/2014-10-31/'

/** A value of RDS's API. An array becomes a list; its items have the name that RDS gives them. */
export type Value = string | number | boolean | { [key: string]: Value | undefined } | Value[]
export type Item = { [key: string]: Value | undefined }

/** What the names of the items of RDS's lists are. */
const ITEMS: Record<string, string> = {
  DBInstances: 'DBInstance',
  DBClusters: 'DBCluster',
  TagList: 'Tag',
}

type Form = { Action?: string; Marker?: string }

/** A stand-in for RDS, which speaks its query protocol: a form as the request, and XML as the answer. */
export type RdsStandIn = {
  /** For `AWS_ENDPOINT_URL_RDS`. */
  url: string
  /** The forms that came in. */
  requests: Record<string, string>[]
  close(): Promise<void>
}

/** @param pageSize how many servers an answer lists at most */
export async function startRds(
  servers: { instances: Item[]; clusters: Item[] },
  pageSize = 100,
): Promise<RdsStandIn> {
  const requests: RdsStandIn['requests'] = []
  const lists: Record<string, [string, Item[]]> = {
    DescribeDBInstances: ['DBInstances', servers.instances],
    DescribeDBClusters: ['DBClusters', servers.clusters],
  }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()))
    requests.push(form)
    const isSigned = /^AWS4-HMAC-SHA256 .*\/rds\/aws4_request/.test(
      request.headers.authorization ?? '',
    )
    const list = isSigned ? lists[form.Action ?? ''] : undefined
    response
      .writeHead(list ? 200 : 403, { 'content-type': 'text/xml' })
      .end(list ? answer(form, list, pageSize) : DENIED)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

const DENIED = `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>`

function answer({ Action, Marker }: Form, [name, all]: [string, Item[]], pageSize: number): string {
  const from = Number(Marker ?? 0)
  const next = from + pageSize
  const result = {
    [name]: all.slice(from, next),
    Marker: next < all.length ? String(next) : undefined,
  }
  return `<${Action}Response xmlns="${NAMESPACE}"><${Action}Result>${xml(result)}</${Action}Result></${Action}Response>`
}

function xml(item: Item): string {
  return Object.entries(item)
    .map(([key, value]) => (value === undefined ? '' : `<${key}>${content(key, value)}</${key}>`))
    .join('')
}

function content(key: string, value: Value): string {
  if (Array.isArray(value)) {
    const name = ITEMS[key] ?? 'member'
    return value.map((item) => `<${name}>${content(name, item)}</${name}>`).join('')
  }
  if (typeof value === 'object') return xml(value)
  return String(value).replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
