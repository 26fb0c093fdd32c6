import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

/** The result of an invocation. `payload` is the handler's result, or Lambda's error object. */
export type Invocation = { ok: boolean; payload: unknown }

/** One execution environment that runs a built bundle as Lambda does. */
export type Lambda = {
  /** Resolves when the function asks for its first invocation, or ends before that. */
  ready: Promise<unknown>
  invoke(event: unknown): Promise<Invocation>
  /** Everything that the function wrote to its standard output and error, by line. */
  lines: string[]
  pid: number | undefined
  stop(): Promise<void>
}

/** The bootstrap writes this after all output of an invocation. */
const END = 'END RequestId: '
const PREFIX = '/2018-06-01/runtime/'

export async function startLambda(options: {
  /** The folder with `index.mjs`. */
  bundle: string
  bootstrap: string
  environment: Record<string, string>
  /** The function's timeout, ms. */
  timeoutMs: number
  node?: string
}): Promise<Lambda> {
  const { bundle, bootstrap, environment, timeoutMs, node = process.execPath } = options
  const queue: { id: string; event: unknown }[] = []
  const waiting = new Map<string, (result: Invocation) => void>()
  let hungry: ServerResponse | undefined
  let failed: unknown
  let timer: NodeJS.Timeout | undefined
  const readiness = new EventEmitter()
  const ready = once(readiness, 'ready')

  // The answer and the output arrive on different channels, in any order.
  const answers = new Map<string, Invocation>()
  const written = new Set<string>()
  const settle = (id: string) => {
    const answer = answers.get(id)
    if (answer === undefined || !written.delete(id)) return
    waiting.get(id)?.(answer)
    waiting.delete(id)
    answers.delete(id)
  }
  const feed = () => {
    const invocation = hungry && queue.shift()
    if (!hungry || !invocation) return
    const headers = {
      'lambda-runtime-aws-request-id': invocation.id,
      'lambda-runtime-deadline-ms': String(Date.now() + timeoutMs),
    }
    timer = setTimeout(timeOut, timeoutMs)
    hungry.writeHead(200, headers).end(JSON.stringify(invocation.event))
    hungry = undefined
  }
  const failAll = (payload: unknown) => {
    clearTimeout(timer)
    failed = payload
    readiness.emit('ready')
    for (const settle of waiting.values()) settle({ ok: false, payload })
    waiting.clear()
  }
  // If an invocation exceeds its timeout, Lambda ends the whole environment.
  const timeOut = () => {
    const errorMessage = `Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`
    failAll({ errorType: 'Sandbox.Timedout', errorMessage })
    kill()
  }
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url?.replace(PREFIX, '') ?? ''
    if (path === 'invocation/next') {
      hungry = response
      readiness.emit('ready')
      return feed()
    }
    const payload: unknown = JSON.parse((await text(request)) || 'null')
    clearTimeout(timer)
    const [, id = '', how] = path.split('/')
    if (path === 'init/error') failAll(payload)
    else answers.set(id, { ok: how === 'response', payload })
    settle(id)
    response.writeHead(202).end('{}')
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  // As in Lambda, the function does not inherit this process's environment variables.
  const child = spawn(node, [bootstrap], {
    env: {
      PATH: process.env.PATH,
      LAMBDA_TASK_ROOT: bundle,
      AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (!line.startsWith(END)) return lines.push(line)
      written.add(line.slice(END.length))
      return settle(line.slice(END.length))
    })
  }
  const exited = once(child, 'exit').then(() => {
    failAll(failed ?? { errorType: 'Runtime.ExitError', errorMessage: lines.join('\n') })
  })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)

  return {
    ready,
    lines,
    pid: child.pid,
    invoke(event) {
      if (failed) return Promise.resolve({ ok: false, payload: failed })
      const id = randomUUID()
      return new Promise((settle) => {
        waiting.set(id, settle)
        queue.push({ id, event })
        feed()
      })
    },
    async stop() {
      kill()
      await exited
      process.off('exit', kill)
      server.close()
      server.closeAllConnections()
    },
  }
}
