import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * What becomes of a request: an HTTP status with an error type, no answer at all, or one after a time. AWS takes
 * the request whose answer is `lost` or `cut`, and the connection is reset before or within its answer.
 */
export type AwsFault =
  | { status: number; type: string }
  | 'silence'
  | { delayMs: number }
  | 'lost'
  | 'cut'

/** Stands before the stand-ins of AWS, and fails the way AWS does. */
export type FaultyAws = {
  url: string
  /** The faults to come, one a request; without any, requests pass. */
  faults: AwsFault[]
  /** Requests seen, passed on or not. */
  requests: number
  /** Connections that were ever opened. */
  connections: number
  /** Ends or resets the open connections, as AWS does with idle ones, and waits until that is on its way. */
  drop(how: 'end' | 'reset'): Promise<unknown>
  close(): Promise<void>
}

export async function startFaultyAws(behind: string): Promise<FaultyAws> {
  const server = createServer((asked, answer) => {
    faulty.requests += 1
    void serve(asked, answer, faulty.faults.shift(), behind)
  }).listen(0, '127.0.0.1')
  // Only `drop` closes idle connections. Node.js would do so after 5 to 6 s.
  server.keepAliveTimeout = 600_000
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    faulty.connections += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const faulty: FaultyAws = {
    url: `http://127.0.0.1:${port}`,
    faults: [],
    requests: 0,
    connections: 0,
    drop(how) {
      const dropping = [...sockets].map((socket) => {
        if (how === 'end') return new Promise<void>((resolve) => socket.end(resolve))
        const closed = once(socket, 'close')
        socket.resetAndDestroy()
        return closed
      })
      return Promise.all(dropping)
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return faulty
}

async function serve(
  asked: IncomingMessage,
  answer: ServerResponse,
  fault: AwsFault | undefined,
  behind: string,
): Promise<void> {
  if (fault === 'silence') return
  if (typeof fault === 'object' && 'status' in fault) {
    const { status, type } = fault
    answer.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' })
    answer.end(JSON.stringify({ __type: type, message: `${type} of the test` }))
    return
  }
  if (typeof fault === 'object') await pause(fault.delayMs)
  const { method = 'POST', headers, url = '/' } = asked
  const onwards = request(new URL(url, behind), { method, headers }, (said) => {
    if (fault === 'lost') return asked.socket.resetAndDestroy()
    answer.writeHead(said.statusCode ?? 500, said.headers)
    if (fault === 'cut') return answer.write('{', () => asked.socket.resetAndDestroy())
    return said.pipe(answer)
  })
  onwards.on('error', () => answer.destroy())
  asked.pipe(onwards)
}
