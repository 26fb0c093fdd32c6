// Holds idle sessions at the lowest cost that a client can have: a socket, without a driver. Arguments:
// host, port, role, application name, count. It prints `open` when all sessions are idle, and `closed`
// when the server has ended the last one. It exits when its input ends.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const [, , host = '', port = '', role = '', application = '', count = ''] = process.argv
const AT_ONCE = 16
/** Protocol version 3.0. */
const PROTOCOL = 0x0003_0000
const READY = Buffer.from('Z\0\0\0\x05I', 'latin1')

function startup(): Buffer {
  const parameters = { user: role, database: 'postgres', application_name: application }
  const body = Buffer.from(`${Object.entries(parameters).flat().join('\0')}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + body.length, 0)
  head.writeInt32BE(PROTOCOL, 4)
  return Buffer.concat([head, body])
}

async function open(): Promise<Socket> {
  const socket = connect(Number(port), host)
  socket.write(startup())
  let greeting = Buffer.alloc(0)
  for (;;) {
    const [chunk] = await once(socket, 'data')
    greeting = Buffer.concat([greeting, chunk])
    if (greeting.subarray(-READY.length).equals(READY)) return socket
    if (greeting[0] === 'E'.charCodeAt(0)) throw new Error(greeting.toString())
  }
}

let left = Number(count)
const closed = () => {
  left -= 1
  if (left === 0) process.stdout.write('closed\n')
}
let wanted = Number(count)
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (wanted > 0) {
      wanted -= 1
      const socket = await open()
      socket
        .on('close', closed)
        .on('error', () => socket.destroy())
        .resume()
    }
  }),
)
process.stdout.write('open\n')
process.stdin.on('end', () => process.exit()).resume()
