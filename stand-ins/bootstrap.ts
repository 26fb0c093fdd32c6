// The process that Lambda starts in an execution environment, by the published Runtime API. It loads the
// handler. Then it asks for an invocation, runs it, sends the answer, and asks again.
import type { IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'

// Lambda's own runtime is light. An `import` of this module, or `fetch`, would load several times as much.
const { request } = createRequire(import.meta.url)('node:http') as typeof import('node:http')

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`

function call(method: string, path: string, body?: unknown): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const calling = request(`${api}/${path}`, { method }, resolve).on('error', reject)
    calling.end(method === 'POST' ? JSON.stringify(body ?? null) : undefined)
  })
}

const post = async (path: string, body: unknown) => (await call('POST', path, body)).resume()

const describe = (error: unknown) => {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error))
  return { errorType: name, errorMessage: message, trace: stack?.split('\n') ?? [] }
}

type Handler = (event: unknown, context: object) => Promise<unknown>

async function load(): Promise<Handler> {
  try {
    const file = `${process.env.LAMBDA_TASK_ROOT}/index.mjs`
    return ((await import(pathToFileURL(file).href)) as { handler: Handler }).handler
  } catch (error) {
    await post('init/error', describe(error))
    process.exit(1)
  }
}

const handler = await load()
for (;;) {
  const next = await call('GET', 'invocation/next')
  const id = next.headers['lambda-runtime-aws-request-id']
  const deadline = Number(next.headers['lambda-runtime-deadline-ms'])
  // As Lambda does. When this line arrives, all output of the invocation has arrived.
  const end = () => process.stdout.write(`END RequestId: ${id}\n`)
  const context = { awsRequestId: id, getRemainingTimeInMillis: () => deadline - Date.now() }
  try {
    const event = JSON.parse(await text(next))
    const result = await handler(event, context)
    end()
    await post(`invocation/${id}/response`, result)
  } catch (error) {
    end()
    await post(`invocation/${id}/error`, describe(error))
  }
}
