import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { Client, type ClientConfig, type Connection } from 'pg'
import { messageOf } from '../errors.ts'
import { createLoginGuard, type LoginDemands, LoginRefused } from './login.ts'

/** The incoming data is not PostgreSQL's protocol, or is far more than any statement asks for. */
export class Garbled extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`it answered in a form that is not PostgreSQL's: ${what}`, options)
  }
}

/** One byte for the type, and four bytes for the length, which counts itself and the body. */
const HEADER_BYTES = 5
/** Where the data of an authentication request begins: after the header and the code. */
const DATA_AT = HEADER_BYTES + 4

/**
 * The types of messages that a server sends to a client that neither prepares nor copies. `Z` ends an answer.
 */
const TYPES = new Set('RSKENATDCIZ')

/** The limit for one answer. A snapshot of 16,000 sessions takes half of it. */
const MOST_BYTES = 16 * 1024 * 1024
/** What even an empty message costs in memory once it is read. */
const MESSAGE_BYTES = 256
const MOST_COLUMNS = 100

/**
 * The parsers of columns that are not read as text, by the OID of the type. The driver has more parsers, but
 * its parser for dates takes minutes if the date is long enough.
 */
const PARSERS = new Map<number, (written: string) => unknown>([
  [16, (written) => written === 't'],
  [23, Number],
  [701, Number],
  [114, parseJson],
])

/**
 * The driver's client, with a guard so that no server can crash it, hang it or fill its memory. The driver
 * reads in an event of its socket. An exception there ends the process, and no promise catches it. The driver
 * reads an error message without a terminator forever, and keeps rows for as long as they arrive.
 */
export function createClient(config: ClientConfig, demands: LoginDemands = {}): Client {
  // The login guard limits the iterations itself, with an error that says what to do.
  const unlimited = { scramMaxIterations: 0 }
  const client = new Client({ ...config, ...unlimited, types: { getTypeParser } })
  const connection = client.connection as Connection & { attachListeners(stream: Duplex): void }
  // The driver calls it once the stream is known; TLS replaces the stream.
  const attach = connection.attachListeners.bind(connection)
  connection.attachListeners = (stream) => attach(soundMessages(stream, demands))
  return client
}

/** Stands in for the stream that the driver reads. Each of its events carries one whole message. */
function soundMessages(stream: Duplex, demands: LoginDemands): Duplex {
  const reader = new EventEmitter()
  const split = createSplitter()
  const inspect = createInspector()
  const guard = createLoginGuard(demands)
  stream.on('data', (chunk: Buffer) => {
    try {
      for (const message of split(chunk)) {
        inspect(message)
        if (typeOf(message) === 'R') guard(codeOf(message), message.subarray(DATA_AT))
        reader.emit('data', message)
      }
    } catch (error) {
      const known = error instanceof Garbled || error instanceof LoginRefused
      stream.destroy(known ? error : new Garbled(messageOf(error), { cause: error }))
    }
  })
  return reader as Duplex
}

/** Splits the incoming chunks into messages, however the network divided them. */
function createSplitter(): (chunk: Buffer) => Generator<Buffer> {
  let parts: Buffer[] = []
  let size = 0
  let needed = HEADER_BYTES
  return function* (chunk) {
    parts.push(chunk)
    size += chunk.length
    if (size < needed) return
    let rest = parts.length === 1 ? chunk : Buffer.concat(parts)
    for (needed = lengthOf(rest); needed <= rest.length; needed = lengthOf(rest)) {
      yield rest.subarray(0, needed)
      rest = rest.subarray(needed)
    }
    parts = [rest]
    size = rest.length
  }
}

/**
 * The length in bytes of the message that begins here, or of a header as long as the header is incomplete.
 */
function lengthOf(bytes: Buffer): number {
  if (bytes.length < HEADER_BYTES) return HEADER_BYTES
  if (!TYPES.has(typeOf(bytes))) throw new Garbled('a message of an unknown type')
  const length = bytes.readUInt32BE(1)
  if (length < HEADER_BYTES - 1 || length > MOST_BYTES) {
    throw new Garbled(`a message of ${length} bytes`)
  }
  return length + 1
}

/** Refuses messages that would crash or hang the driver, and an endless answer. */
function createInspector(): (message: Buffer) => void {
  let columns = 0
  let received = 0
  return (message) => {
    const type = typeOf(message)
    received = type === 'Z' ? 0 : received + message.length + MESSAGE_BYTES
    if (received > MOST_BYTES) throw new Garbled('an endless answer')
    if (type === 'T') columns = columnsOf(message)
    if (type === 'D' && columnsOf(message) !== columns) {
      throw new Garbled('a row with other columns than announced')
    }
    if ('EN'.includes(type)) refuseUnterminated(message)
  }
}

function typeOf(message: Buffer): string {
  return String.fromCharCode(message[0] as number)
}

function codeOf(message: Buffer): number {
  return message.readInt32BE(HEADER_BYTES)
}

function columnsOf(message: Buffer): number {
  const columns = message.readInt16BE(HEADER_BYTES)
  if (columns < 0 || columns > MOST_COLUMNS) throw new Garbled(`rows of ${columns} columns`)
  return columns
}

/** The fields are a byte and a zero-terminated text each. One more zero byte ends the message. */
function refuseUnterminated(message: Buffer): void {
  const end = message.length - 1
  if (message[end] === 0 && (end === HEADER_BYTES || message[end - 1] === 0)) return
  throw new Garbled('an error message without its terminator')
}

function getTypeParser(oid: number) {
  return PARSERS.get(oid) ?? String
}

function parseJson(written: string): unknown {
  try {
    return JSON.parse(written)
  } catch (error) {
    throw new Garbled('a JSON column that is not JSON', { cause: error })
  }
}
