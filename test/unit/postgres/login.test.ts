import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import type { Credentials } from '../../../lambda/core/credentials.ts'
import { SlotkeeperError } from '../../../lambda/errors.ts'
import { connect } from '../../../lambda/postgres/connect.ts'
import { createLoginGuard, type LoginDemands } from '../../../lambda/postgres/login.ts'
import type { Tls } from '../../../lambda/postgres/tls.ts'

const SOON_MS = 10_000

const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const message = (type: string, body: Buffer) =>
  Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
const asks = (code: number, data = '') =>
  message('R', Buffer.concat([int32(code), Buffer.from(data)]))

/** An error as PostgreSQL writes it, or as a pooler does, which names no routine. */
const refuses = (code: string, text: string, routine?: string) =>
  message(
    'E',
    Buffer.from(
      `SFATAL\0VFATAL\0C${code}\0M${text}\0${routine === undefined ? '' : `Fx.c\0L1\0R${routine}\0`}\0`,
    ),
  )

let says: Buffer = Buffer.alloc(0)
const sockets = new Set<Socket>()
const server = createServer((socket) => {
  sockets.add(socket)
  socket.on('error', () => undefined)
  socket.once('data', () => socket.write(says))
}).listen(0, '127.0.0.1')
await once(server, 'listening')
afterAll(() => {
  for (const socket of sockets) socket.destroy()
  server.close()
})

async function failure(
  said: Buffer,
  changes: Partial<Credentials> = {},
  tls: Tls = false,
): Promise<SlotkeeperError> {
  says = said
  const { port } = server.address() as { port: number }
  const at = { host: '127.0.0.1', port, user: 'u', password: 'hush', database: 'd', ...changes }
  const error = await connect(at, tls, 'client', SOON_MS).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(SlotkeeperError)
  expect((error as Error).message).not.toContain('hush')
  return error as SlotkeeperError
}

describe('a fault outside the network is not reported as a network fault', () => {
  test.each<[string, Buffer, string, RegExp]>([
    ['GSSAPI', asks(7), 'authentication', /asks for GSSAPI\. .*scram-sha-256/],
    ['SSPI', asks(9), 'authentication', /asks for SSPI/],
    ['Kerberos', asks(2), 'authentication', /asks for Kerberos/],
    ['a method of the future', asks(99), 'authentication', /asks for method 99/],
    ['OAuth', asks(10, 'OAUTHBEARER\0\0'), 'authentication', /asks for OAUTHBEARER/],
    [
      'PgBouncer, which refuses a start-up parameter',
      refuses('08P01', 'unsupported startup parameter: options'),
      'forbidden',
      /is a pooler.*name the server's own endpoint/,
    ],
    [
      'RDS Proxy, which refuses it otherwise',
      refuses('0A000', 'Feature not supported: RDS Proxy'),
      'forbidden',
      /is a pooler/,
    ],
    [
      'PostgreSQL 13',
      refuses('42704', 'unrecognized configuration parameter', 'find_option'),
      'forbidden',
      /needs PostgreSQL 14 or later/,
    ],
    [
      'a server that starts',
      refuses('57P03', 'the database system is starting up', 'ProcessStartupPacket'),
      'unreachable',
      /takes no connections now.*The network works/,
    ],
    [
      'a server without memory',
      refuses('53200', 'out of memory', 'AllocSetAlloc'),
      'unreachable',
      /lacks memory or disk/,
    ],
    ['another service', Buffer.from('SSH-2.0-x\r\n'), 'unreachable', /is not PostgreSQL/],
  ])('%s', async (_, said, kind, words) => {
    const error = await failure(said)
    expect(error).toMatchObject({ kind, message: expect.stringMatching(words) })
    expect(error.message).not.toContain('security groups')
  })

  test.each([
    ['another service', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['one whose name begins as the yes does', 'SSH-2.0-x\r\n'],
    ['a server that can start no process', 'Ecould not fork new process\n\0'],
  ])('%s, when asked for TLS', async (_, said) => {
    const error = await failure(Buffer.from(said), {}, { ca: [], verifyName: true })
    expect(error).toMatchObject({
      kind: 'unreachable',
      message: expect.stringMatching(/is not PostgreSQL, or it could not start a process/),
    })
  })

  test('refuses an RDS Proxy endpoint by its name, before it connects', async () => {
    const host = 'shop.proxy-abc.eu-central-1.rds.amazonaws.com'
    expect(await failure(Buffer.alloc(0), { host })).toMatchObject({
      kind: 'forbidden',
      message: expect.stringMatching(/is a pooler.*name the server's own endpoint/),
    })
  })
})

describe('a network fault has matching advice', () => {
  test.each<[string, Partial<Credentials>, RegExp]>([
    ['a port where nothing listens', { port: 1 }, /Nothing takes connections there/],
    ['a name that is not known', { host: 'no-such-host.invalid' }, /name/],
    ['a folder without a socket', { host: '/tmp', port: 1 }, /No server has its socket there/],
    ['a socket in what is no folder', { host: '/etc/passwd', port: 1 }, /not a folder/],
  ])('%s', async (_, changes, words) => {
    const error = await failure(Buffer.alloc(0), changes)
    expect(error).toMatchObject({ kind: 'unreachable', message: expect.stringMatching(words) })
    expect(error.message).not.toContain('security groups')
  })
})

describe('a login', () => {
  const scram = Buffer.from('SCRAM-SHA-256\0\0')
  const both = Buffer.from('SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0')
  const nothing = Buffer.alloc(0)
  type Step = [code: number, data?: Buffer]

  function meet(demands: LoginDemands, steps: Step[]): string | undefined {
    const guard = createLoginGuard(demands)
    try {
      for (const [code, data = nothing] of steps) guard(code, data)
      return undefined
    } catch (error) {
      return (error as { reason: string }).reason
    }
  }

  const byScram: Step[] = [[10, scram], [11, Buffer.from('r=x,s=eA==,i=4096')], [12], [0]]
  const bound: Step[] = [[10, both], [11, Buffer.from('r=x,s=eA==,i=4096')], [12], [0]]

  test.each<[string, LoginDemands, Step[], string | undefined]>([
    ['by SCRAM', {}, byScram, undefined],
    ['by nothing', {}, [[0]], undefined],
    ['by MD5', {}, [[5], [0]], undefined],
    ['by a password', {}, [[3], [0]], undefined],
    ['by SCRAM, as demanded', { methods: ['scram-sha-256'] }, byScram, undefined],
    ['by a password, where SCRAM is demanded', { methods: ['scram-sha-256'] }, [[3]], 'demand'],
    ['by MD5, where SCRAM is demanded', { methods: ['scram-sha-256'] }, [[5]], 'demand'],
    ['by nothing, where SCRAM is demanded', { methods: ['scram-sha-256'] }, [[0]], 'demand'],
    ['by nothing, as allowed', { methods: ['none'] }, [[0]], undefined],
    ['by SCRAM, where only nothing is allowed', { methods: ['none'] }, [[10, scram]], 'demand'],
    ['bound, as demanded', { requireBinding: true }, bound, undefined],
    ['not bound, where that is demanded', { requireBinding: true }, byScram, 'demand'],
    ['by a password, which binds nothing', { requireBinding: true }, [[3]], 'demand'],
    ['by nothing, which binds nothing', { requireBinding: true }, [[0]], 'demand'],
    ['that ends before the server has proven itself', {}, [...byScram.slice(0, 2), [0]], 'demand'],
    [
      'with a million iterations',
      {},
      [
        [10, scram],
        [11, Buffer.from('r=x,s=x,i=1000000')],
      ],
      undefined,
    ],
    [
      'with more',
      {},
      [
        [10, scram],
        [11, Buffer.from('r=x,s=x,i=1000001')],
      ],
      'cost',
    ],
    [
      'with numbers that end nowhere',
      {},
      [
        [10, scram],
        [11, Buffer.from(`r=x,s=x,i=${'9'.repeat(400)}`)],
      ],
      'cost',
    ],
    ['by GSSAPI', {}, [[7]], 'method'],
  ])('%s', (_, demands, steps, expected) => {
    expect(meet(demands, steps)).toBe(expected)
  })
})
