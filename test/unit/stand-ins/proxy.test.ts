import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startProxy } from '../../../stand-ins/proxy.ts'

const TRIP_MS = 40
/** A timer may fire this much early, because it counts whole milliseconds. */
const ROUNDING_MS = 2

let echo: Server

beforeAll(async () => {
  echo = createServer((socket) => {
    // The network resets what is still open when it closes.
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
})

afterAll(() => echo.close())

const open = async (tripMs?: number) => {
  const network = await startProxy(
    { host: '127.0.0.1', port: (echo.address() as { port: number }).port },
    { tripMs },
  )
  const socket = connect(network.port, '127.0.0.1')
  await once(socket, 'connect')
  return { network, socket }
}

const roundTrip = async (socket: Socket): Promise<number> => {
  const started = performance.now()
  socket.write('x')
  await once(socket, 'data')
  return performance.now() - started
}

test('a network with a delay: two round trips for the first message, one for each later one', async () => {
  const { network, socket } = await open(TRIP_MS)
  expect(await roundTrip(socket)).toBeGreaterThan(2 * TRIP_MS - 2 * ROUNDING_MS)
  expect(await roundTrip(socket)).toBeGreaterThan(TRIP_MS - ROUNDING_MS)
  socket.end()
  await once(socket, 'close')
  await network.close()
})

test.each([
  ['with a delay', TRIP_MS],
  ['without a delay', undefined],
])('everything arrives in its order: %s', async (_, tripMs) => {
  const { network, socket } = await open(tripMs)
  const sent = Buffer.from(Array.from({ length: 500_000 }, (_, index) => index % 251))
  for (let at = 0; at < sent.length; at += 1000) socket.write(sent.subarray(at, at + 1000))
  const chunks: Buffer[] = []
  let received = 0
  while (received < sent.length) {
    const [chunk] = await once(socket, 'data')
    chunks.push(chunk)
    received += chunk.length
  }
  expect(Buffer.concat(chunks).equals(sent)).toBe(true)
  socket.end()
  await once(socket, 'close')
  await network.close()
})
