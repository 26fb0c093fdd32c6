import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, afterEach, expect } from 'vitest'
import { judge } from '../../lambda/core/judge.ts'
import type { Outcome } from '../../lambda/core/report.ts'
import { reapVerdicts } from '../../lambda/core/verdict.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { connect, type Link } from '../../lambda/postgres/connect.ts'
import { reap } from '../../lambda/postgres/reap.ts'
import { takeSnapshot } from '../../lambda/postgres/snapshot.ts'
import type { Tls } from '../../lambda/postgres/tls.ts'
import { policy } from './session.ts'

const TIMEOUT_MS = 200
/** Where the time is not what ends it. */
const AMPLE_MS = 10_000
/** So much, however quick the machine, that what kept all of it would take more than `MOST_GROWTH`. */
const FLOOD_BYTES = 24 * 1024 * 1024
export const MOST_GROWTH = 100 * 1024 * 1024

const escaped: unknown[] = []
const catchEscaped = (error: unknown) => escaped.push(error)
process.on('uncaughtException', catchEscaped)
process.on('unhandledRejection', catchEscaped)
afterAll(() => {
  process.off('uncaughtException', catchEscaped)
  process.off('unhandledRejection', catchEscaped)
})
afterEach(() => expect(escaped).toEqual([]))

/** What the server says to each message of the client; a list goes out piece by piece. */
export type Answer = Buffer | Buffer[]
export type Conduct = {
  answers: Answer[]
  /** After the last answer: ends the connection, says no more, or says this again and again. */
  lastly: 'hang up' | 'wait' | Buffer
}
let conduct: Conduct = { answers: [], lastly: 'hang up' }
/** The most memory that this process held in a flood; a test resets it. */
export const memory = { peakBytes: 0 }

function flood(socket: Socket, bytes: Buffer): void {
  memory.peakBytes = Math.max(memory.peakBytes, process.memoryUsage.rss())
  let isRoom = true
  while (isRoom && !socket.destroyed) isRoom = socket.write(bytes)
  if (socket.bytesWritten > FLOOD_BYTES) socket.end()
  else if (!socket.destroyed) socket.once('drain', () => flood(socket, bytes))
}

export async function say(socket: Socket, answer: Answer): Promise<void> {
  for (const piece of [answer].flat()) {
    socket.write(piece)
    await nextTurn()
  }
}

const sockets = new Set<Socket>()
export const server = createServer((socket) => {
  const { answers, lastly } = conduct
  const left = [...answers]
  sockets.add(socket)
  socket.setNoDelay()
  socket.on('close', () => sockets.delete(socket))
  // The client hangs up when it has seen enough.
  socket.on('error', () => socket.destroy())
  socket.on('data', async () => {
    const answer = left.shift()
    if (answer) await say(socket, answer)
    if (left.length > 0 || lastly === 'wait') return
    if (lastly === 'hang up') socket.end()
    else flood(socket, lastly)
  })
}).listen(0, '127.0.0.1')
await once(server, 'listening')
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  server.close()
  await once(server, 'close')
})

export const { port } = server.address() as { port: number }
const credentials = {
  host: '127.0.0.1',
  port,
  user: 'reaper',
  password: 'p',
  database: 'postgres',
}
const everyIdle = policy({ rules: [{ name: 'idle', state: 'idle', olderThan: '0s' }] })

/** Does something with a server of such conduct, which must not hold it up for ever. */
export async function meet<T>(
  answers: Answer[],
  act: (link: Link, timeoutMs: number) => Promise<T>,
  {
    lastly = 'hang up',
    tls = false,
    timeoutMs = lastly === 'wait' ? TIMEOUT_MS : AMPLE_MS,
  }: { lastly?: Conduct['lastly']; tls?: Tls; timeoutMs?: number } = {},
): Promise<T | SlotkeeperError> {
  conduct = { answers, lastly }
  try {
    const link = await connect(credentials, tls, 'client', timeoutMs)
    try {
      return await act(link, timeoutMs)
    } finally {
      await link.close()
    }
  } catch (error) {
    if (!(error instanceof SlotkeeperError)) throw error
    return error
  }
}

/** A look, and the end of all idle sessions that it showed. */
export async function sweep(link: Link, timeoutMs: number): Promise<Outcome[]> {
  const verdicts = reapVerdicts(judge(await takeSnapshot(link, timeoutMs), everyIdle))
  return verdicts.length === 0 ? [] : reap(link, verdicts, timeoutMs, Date.now())
}

/** What a sweep may come to where the server never told an outcome. */
export function isHonest(result: Outcome[] | SlotkeeperError): void {
  if (result instanceof SlotkeeperError) expect(result.message).toMatch(/127\.0\.0\.1|the server/)
  else for (const { outcome } of result) expect(outcome).toBe('refused')
}
