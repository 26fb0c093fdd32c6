import { once } from 'node:events'
import { createServer, connect as dial, type Socket } from 'node:net'

/** What the network does with a chunk. `lose` drops it and everything after it on the connection. */
export type Fate = 'pass' | 'cut' | 'lose'

/** A network between a client and a server that can fail. */
export type Proxy = {
  port: number
  /** Where new connections go. A test may change it, as a failover does. */
  to: { host: string; port: number }
  /** Called for each chunk. The chunk, and every chunk behind it, waits for the answer. */
  judge: (chunk: Buffer, from: 'client' | 'server') => Fate | Promise<Fate>
  /** Resets all open connections. */
  cut(): void
  close(): Promise<void>
}

/**
 * @param options.at where to listen; without it, on a free port of the loopback
 * @param options.tripMs the time of a round trip, at least, ms. All of it passes on the way to the server. A new
 *   connection takes one more: here the client is connected at once, as no network lets it.
 */
export async function startProxy(
  to: Proxy['to'],
  { at = { host: '127.0.0.1', port: 0 }, tripMs = 0 }: { at?: Proxy['to']; tripMs?: number } = {},
): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const listener = createServer((client) => relay(client, proxy, sockets, tripMs)).listen(
    at.port,
    at.host,
  )
  await once(listener, 'listening')
  const { port } = listener.address() as { port: number }
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy()
    sockets.clear()
  }
  const proxy: Proxy = {
    port,
    to,
    judge: () => 'pass',
    cut,
    async close() {
      listener.close()
      cut()
      await once(listener, 'close')
    },
  }
  return proxy
}

function relay(client: Socket, proxy: Proxy, sockets: Set<Socket>, tripMs: number): void {
  const server = dial(proxy.to.port, proxy.to.host)
  let lost = false
  const cut = () => {
    for (const socket of [client, server]) {
      sockets.delete(socket)
      socket.resetAndDestroy()
    }
  }
  const carry = (from: Socket, onto: Socket, name: 'client' | 'server') => {
    const travel =
      name === 'client' && tripMs > 0 ? delayed(tripMs) : (arrive: () => void) => arrive()
    sockets.add(from)
    from.on('data', async (chunk) => {
      from.pause()
      const fate = lost ? 'lose' : await proxy.judge(chunk, name)
      from.resume()
      lost ||= fate === 'lose'
      if (fate === 'cut') cut()
      if (fate === 'pass') travel(() => onto.write(chunk))
    })
    from.on('end', () => !lost && travel(() => onto.end()))
    // A reset on one side becomes a reset on the other side.
    from.on('error', () => !lost && onto.destroy())
  }
  carry(client, server, 'client')
  carry(server, client, 'server')
}

/** Lets everything on one way arrive later, in its order. The first arrival takes twice as long. */
function delayed(ms: number): (arrive: () => void) => void {
  const connectedAt = performance.now() + ms
  const travelling: (() => void)[] = []
  return (arrive) => {
    travelling.push(arrive)
    const startsIn = Math.max(0, connectedAt - performance.now())
    // Timers of different lengths may fire in another order, so whichever fires delivers the first.
    setTimeout(() => travelling.shift()?.(), startsIn + ms)
  }
}
