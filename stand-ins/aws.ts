import { createHash, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { gunzipSync } from 'node:zlib'
import { filterLogEvents, type LogEvent } from './logs.ts'
import { answerMetricData, faultsOf, type MetricDataRequest, type Samples } from './metric-data.ts'

/** The example keys of AWS's own documentation, so they belong to no account. */
export const EXAMPLE_KEYS = {
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  AWS_REGION: 'eu-central-1',
}

const MOST_BYTES = 1024 * 1024
const MOST_METRICS = 1000
const MOST_VALUES = 150
const MOST_DIMENSIONS = 30

export type Datum = {
  MetricName: string
  Dimensions?: { Name: string; Value: string }[]
  Timestamp?: number
  Unit?: string
  Value?: number
  Values?: number[]
  Counts?: number[]
}

/** One accepted PutMetricData request. */
export type Put = { Namespace: string; MetricData: Datum[] }

/** Stand-ins for Secrets Manager, CloudWatch and CloudWatch Logs that speak the AWS SDK's own wire protocols. */
export type Aws = {
  /** For `AWS_ENDPOINT_URL`. */
  url: string
  /** The secrets, by ARN or name. A test may change them between requests, as a rotation does. */
  secrets: Map<string, string>
  secretReads: string[]
  puts: Put[]
  /** The log groups, by name. */
  logGroups: Map<string, LogEvent[]>
  /** What GetMetricData answers with. A test may change it between requests. */
  samples: Samples
  /** The accepted GetMetricData requests. */
  metricReads: MetricDataRequest[]
  close(): Promise<void>
}

/** What the services hold and have seen. */
type State = Pick<Aws, 'secrets' | 'secretReads' | 'puts' | 'samples' | 'metricReads' | 'logGroups'>

/** How long an idle connection stays open, ms: longer than a minute between two sweeps. */
const IDLE_MS = 120_000

/** A refusal in AWS's format: HTTP status 400 and an error type. */
class Refusal extends Error {
  readonly type: string

  constructor(type: string, message: string) {
    super(message)
    this.type = type
  }
}

/** @param tls a certificate for `localhost` and its key, in PEM form; without it, the stand-in speaks plain HTTP */
export async function startAws(
  secrets: Record<string, string>,
  tls?: { cert: Buffer; key: Buffer },
): Promise<Aws> {
  const aws: State = {
    secrets: new Map(Object.entries(secrets)),
    secretReads: [],
    puts: [],
    samples: new Map(),
    metricReads: [],
    logGroups: new Map(),
  }
  const serve: RequestListener = async (request, response) => {
    const protocol = request.headers['content-type'] ?? 'application/x-amz-json-1.1'
    const send = (status: number, body: object) => {
      response.writeHead(status, { 'content-type': protocol }).end(JSON.stringify(body))
    }
    try {
      const body = await readBody(request)
      checkSignature(request, body)
      send(200, answer(aws, request, body))
    } catch (error) {
      const { type, message } =
        error instanceof Refusal ? error : { type: 'InternalFailure', message: String(error) }
      send(error instanceof Refusal ? 400 : 500, { __type: type, message })
    }
  }
  const server = tls ? createTlsServer(tls, serve) : createServer(serve)
  // Node.js would close an idle connection after 5 to 6 s, perhaps just when the next request is on its way.
  server.keepAliveTimeout = IDLE_MS
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    ...aws,
    url: tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function answer(aws: State, request: IncomingMessage, body: Buffer): object {
  const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
  switch (request.headers['x-amz-target']) {
    case 'secretsmanager.GetSecretValue':
      return getSecretValue(aws, JSON.parse(plain.toString()))
    case 'GraniteServiceVersion20100801.PutMetricData':
      if (body.length > MOST_BYTES) throw new Refusal('RequestEntityTooLarge', 'request over 1 MB')
      aws.puts.push(checkPut(JSON.parse(plain.toString())))
      return {}
    case 'Logs_20140328.FilterLogEvents':
      return filterLogEvents(
        aws.logGroups,
        JSON.parse(plain.toString()),
        (type, message) => new Refusal(type, message),
      )
    case 'GraniteServiceVersion20100801.GetMetricData': {
      const asked = JSON.parse(plain.toString()) as MetricDataRequest
      refuseIf(faultsOf(asked))
      aws.metricReads.push(asked)
      return answerMetricData(asked, aws.samples)
    }
    default:
      throw new Refusal('UnknownOperationException', 'unknown operation')
  }
}

function getSecretValue({ secrets, secretReads }: State, { SecretId }: { SecretId?: string }) {
  const SecretString = secrets.get(SecretId ?? '')
  if (SecretId === undefined || SecretString === undefined) {
    throw new Refusal(
      'ResourceNotFoundException',
      "Secrets Manager can't find the specified secret.",
    )
  }
  secretReads.push(SecretId)
  return { ARN: SecretId, Name: SecretId, SecretString }
}

/** Refuses what CloudWatch refuses, by its API reference of PutMetricData and MetricDatum. */
function checkPut(put: Put): Put {
  const { Namespace, MetricData = [] } = put
  refuseIf({
    'Namespace is empty': !Namespace,
    'Namespace starts with AWS/': /^AWS\//.test(Namespace),
    'MetricData is empty': MetricData.length === 0,
    [`more than ${MOST_METRICS} metrics`]: MetricData.length > MOST_METRICS,
  })
  for (const datum of MetricData) checkDatum(datum)
  return put
}

function checkDatum({ MetricName, Dimensions = [], Value, Values, Counts }: Datum): void {
  const values = Values ?? (Value === undefined ? [] : [Value])
  refuseIf({
    'MetricName is empty': !MetricName,
    'too many dimensions': Dimensions.length > MOST_DIMENSIONS,
    'a dimension is empty': Dimensions.some(({ Name, Value }) => !Name || !Value),
    [`${MetricName} has no value`]: values.length === 0,
    [`${MetricName} has more than ${MOST_VALUES} values`]: values.length > MOST_VALUES,
    [`${MetricName} does not have as many Counts as Values`]:
      Counts !== undefined && Counts.length !== values.length,
    [`${MetricName} is not a number`]: ![...values, ...(Counts ?? [])].every(Number.isFinite),
  })
}

function refuseIf(faults: Record<string, boolean>): void {
  for (const [fault, present] of Object.entries(faults)) {
    if (present) throw new Refusal('InvalidParameterValue', fault)
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Checks the signature (Signature Version 4) by computing it again from the received request. */
function checkSignature({ headers, method, url }: IncomingMessage, body: Buffer): void {
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([\w-]+)\/(\w+)\/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=(\w+)$/.exec(
      headers.authorization ?? '',
    )
  if (!parts)
    throw new Refusal(
      'MissingAuthenticationTokenException',
      'Request is missing Authentication Token',
    )
  const [, keyId, day = '', region = '', service = '', signed = '', signature] = parts
  if (keyId !== EXAMPLE_KEYS.AWS_ACCESS_KEY_ID) {
    throw new Refusal(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    )
  }
  const hash = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')
  const hmac = (key: string | Buffer, data: string) =>
    createHmac('sha256', key).update(data).digest()
  const canonical = [
    method,
    url,
    '',
    ...signed.split(';').map((name) => `${name}:${String(headers[name] ?? '').trim()}`),
    '',
    signed,
    hash(body),
  ].join('\n')
  const scope = `${day}/${region}/${service}/aws4_request`
  const toSign = `AWS4-HMAC-SHA256\n${headers['x-amz-date']}\n${scope}\n${hash(canonical)}`
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(
    hmac,
    `AWS4${EXAMPLE_KEYS.AWS_SECRET_ACCESS_KEY}`,
  )
  if (hmac(key, toSign).toString('hex') !== signature) {
    throw new Refusal('SignatureDoesNotMatch', 'The request signature we calculated does not match')
  }
}
