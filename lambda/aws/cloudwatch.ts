import type { CloudWatchClient, PutMetricDataCommandInput } from '@aws-sdk/client-cloudwatch'
import { messageOf } from '../errors.ts'
import { CLIENT_OPTIONS } from './client-options.ts'

/**
 * The request may have reached CloudWatch, but its answer was lost. It has no cause: the SDK would find the
 * network's error there, and send the request again.
 */
export class Unanswered extends Error {}

/** Kept between invocations, with its connection: a new TLS connection takes a third of a warm sweep's processor time. */
let kept: CloudWatchClient | undefined
let keepAlive = true

/**
 * Puts metrics, and retries once if CloudWatch refuses them for now or can't be reached. CloudWatch adds up
 * what it gets, so a request that may have reached it is not sent again: its samples would count twice.
 * @throws Unanswered, or an error of the SDK
 */
export async function putMetricData(input: PutMetricDataCommandInput): Promise<void> {
  const { PutMetricDataCommand } = await loadSdk()
  kept ??= await createClient()
  try {
    await kept.send(new PutMetricDataCommand(input))
  } catch (error) {
    if (error instanceof Unanswered) {
      // Something on the way may forget idle connections without closing them. Then each kept one would fail.
      keepAlive = false
      kept.destroy()
      kept = undefined
    }
    throw error
  }
}

/** Loads the SDK. Call it early to load the SDK while something else is waited for. */
export function loadSdk() {
  return import('./sdk.ts')
}

async function createClient(): Promise<CloudWatchClient> {
  const { CloudWatchClient } = await loadSdk()
  const { requestHandler, ...options } = CLIENT_OPTIONS
  const agents = { httpAgent: { keepAlive }, httpsAgent: { keepAlive } }
  const client = new CloudWatchClient({
    ...options,
    requestHandler: { ...requestHandler, ...agents },
  })
  // In this step the middleware runs inside the SDK's own retries, and sees what the network and the answer
  // gave.
  client.middlewareStack.add(
    (next) => async (args) => {
      try {
        return await next(args)
      } catch (error) {
        throw mayHaveArrived(error) ? new Unanswered(messageOf(error)) : error
      }
    },
    { name: 'sendOnce', step: 'deserialize', priority: 'high' },
  )
  return client
}

/** The codes of errors that come before a request is sent. */
const UNSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])
/** In the codes for a certificate that was not accepted. Then no request is sent. */
const OF_CERTIFICATE = /CERT|SIGNATURE|ISSUER/

/** Whether a failed request may have reached CloudWatch: it was sent, or may have been, and not refused. */
function mayHaveArrived(error: unknown): boolean {
  // One error for each address of the host. It has a code, but no syscall of its own.
  if (error instanceof AggregateError) return error.errors.some(mayHaveArrived)
  const { $response, name, code, syscall } = error as {
    $response?: { statusCode: number }
    name?: string
    code?: string
    syscall?: string
  }
  if ($response) return $response.statusCode < 400
  // For a connection that takes too long, the SDK's error has this name and no code.
  if (code === undefined) return name !== 'TimeoutError'
  return syscall !== 'connect' && !UNSENT.has(code) && !OF_CERTIFICATE.test(code)
}
