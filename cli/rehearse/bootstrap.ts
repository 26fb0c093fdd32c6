// What Lambda starts in an execution environment, by the published Runtime API: load the handler,
// then ask for an invocation, run it, answer, ask again.
import { pathToFileURL } from 'node:url'

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`

const post = (path: string, body: unknown) =>
  fetch(`${api}/${path}`, { method: 'POST', body: JSON.stringify(body ?? null) })

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
  const next = await fetch(`${api}/invocation/next`)
  const id = next.headers.get('lambda-runtime-aws-request-id')
  const deadline = Number(next.headers.get('lambda-runtime-deadline-ms'))
  const context = { awsRequestId: id, getRemainingTimeInMillis: () => deadline - Date.now() }
  try {
    await post(`invocation/${id}/response`, await handler(await next.json(), context))
  } catch (error) {
    await post(`invocation/${id}/error`, describe(error))
  }
}
