// Holds idle sessions at the lowest cost that a client can have: a socket, without a driver. Arguments:
// host, port, role, application name. It reads commands, one a line, and answers with one line of JSON:
// `open N` opens N sessions and answers when all are idle. When the last of them is closed, by the server
// or by the command `drop`, it writes a line of the type `Closed`. It exits when its input ends.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { constants, setPriority } from 'node:os'
import { createInterface } from 'node:readline'

/**
 * When the first and the last client saw its socket close, on the clock of `process.hrtime`, which all
 * processes of a machine share, ns; and the CPU time of this process since all sessions were idle, ms.
 */
export type Closed = { firstNs: string; lastNs: string; cpuMs: number }

const [, , host = '', port = '', role = '', application = ''] = process.argv
const AT_ONCE = 16
/** Protocol version 3.0. */
const PROTOCOL = 0x0003_0000
const READY = Buffer.from('Z\0\0\0\x05I', 'latin1')
const ERROR = 'E'.charCodeAt(0)

/** All sockets read into the same bytes: a stream's own buffers would cost more than the rest. */
const scratch = Buffer.alloc(4096)
const sockets = new Set<Socket>()
let first: bigint | undefined
let cpuBefore = process.cpuUsage()

try {
  // Clients have machines of their own. Without this, they see an end only when the server leaves them a
  // processor. Only root may do it.
  setPriority(constants.priority.PRIORITY_HIGHEST)
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error
}

function startup(): Buffer {
  const parameters = { user: role, database: 'postgres', application_name: application }
  const body = Buffer.from(`${Object.entries(parameters).flat().join('\0')}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + body.length, 0)
  head.writeInt32BE(PROTOCOL, 4)
  return Buffer.concat([head, body])
}

/** Resolves when the session is idle. */
function open(): Promise<void> {
  return new Promise((resolve, reject) => {
    let greeted = false
    let greeting = Buffer.alloc(0)
    const listen = (bytes: number, buffer: Uint8Array) => {
      // Later messages only say that the session ends.
      if (greeted) return true
      greeting = Buffer.concat([greeting, buffer.subarray(0, bytes)])
      greeted = greeting.subarray(-READY.length).equals(READY)
      if (greeted) resolve()
      else if (greeting[0] === ERROR) reject(new Error(greeting.toString()))
      return true
    }
    const socket = connect({
      host,
      port: Number(port),
      onread: { buffer: scratch, callback: listen },
    })
    sockets.add(socket)
    socket.on('close', () => closed(socket)).on('error', () => socket.destroy())
    socket.write(startup())
  })
}

function closed(socket: Socket): void {
  const now = process.hrtime.bigint()
  first ??= now
  sockets.delete(socket)
  if (sockets.size > 0) return
  const { user, system } = process.cpuUsage(cpuBefore)
  say({ firstNs: String(first), lastNs: String(now), cpuMs: (user + system) / 1000 })
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function openAll(count: number): Promise<void> {
  let wanted = count
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (wanted > 0) {
        wanted -= 1
        await open()
      }
    }),
  )
  first = undefined
  cpuBefore = process.cpuUsage()
  say({ open: count })
}

const commands = createInterface({ input: process.stdin })
commands.on('line', (line) => {
  const [command, count] = line.split(' ')
  if (command === 'open') openAll(Number(count)).catch(fail)
  else for (const socket of sockets) socket.destroy()
})
await once(commands, 'close')
process.exit()

function fail(error: Error): void {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
}
