import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { Client, type ClientConfig, type Connection } from 'pg'
import { messageOf } from '../errors.ts'
import { createLoginGuard, type LoginDemands, LoginRefused } from './login.ts'

/** What came in is not PostgreSQL's protocol, or far more than any statement asks for. */
export class Garbled extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`it answered in a form that is not PostgreSQL's: ${what}`, options)
  }
}

/** A byte for the type, four for a length that counts itself and the body. */
const HEADER_BYTES = 5
/** Of an authentication request, whose code comes after the header. */
const DATA_AT = HEADER_BYTES + 4

/** What a server sends to a client that neither prepares nor copies; `Z` ends an answer. */
const TYPES = new Set('RSKENATDCIZ')

/** Of one answer: a snapshot of 16,000 sessions takes half of it. */
const MOST_BYTES = 16 * 1024 * 1024
/** What even an empty message costs once it is read. */
const MESSAGE_BYTES = 256
const MOST_COLUMNS = 100

/**
 * The forms of columns that are read as something else than text, by the type's OID. The driver has
 * more of them, and a long enough date holds it up for minutes.
 */
const PARSERS = new Map<number, (written: string) => unknown>([
  [16, (written) => written === 't'],
  [23, Number],
  [701, Number],
  [114, parseJson],
])

/**
 * The driver's client, which no server can crash, hang or fill: it reads in the event of its socket,
 * where an exception ends the process past every promise, where a message of errors without its end
 * is read for ever, and where rows are kept for as long as they come.
 */
export function createClient(config: ClientConfig, demands: LoginDemands = {}): Client {
  // The guard has a limit of its own for the iterations, and says what it means.
  const unlimited = { scramMaxIterations: 0 }
  const client = new Client({ ...config, ...unlimited, types: { getTypeParser } })
  const connection = client.connection as Connection & { attachListeners(stream: Duplex): void }
  // Called once the stream is known, which TLS changes.
  const attach = connection.attachListeners.bind(connection)
  connection.attachListeners = (stream) => attach(soundMessages(stream, demands))
  return client
}

/** Stands for the stream towards the driver's reader, with one whole message in each event. */
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

/** Cuts what comes in into messages, however it was divided on the way. */
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

/** The length of the message that begins here, as far as it can be told. */
function lengthOf(bytes: Buffer): number {
  if (bytes.length < HEADER_BYTES) return HEADER_BYTES
  if (!TYPES.has(typeOf(bytes))) throw new Garbled('a message of an unknown type')
  const length = bytes.readUInt32BE(1)
  if (length < HEADER_BYTES - 1 || length > MOST_BYTES) {
    throw new Garbled(`a message of ${length} bytes`)
  }
  return length + 1
}

/** Refuses what would take the driver down, and an answer without an end. */
function createInspector(): (message: Buffer) => void {
  let columns = 0
  let received = 0
  return (message) => {
    const type = typeOf(message)
    received = type === 'Z' ? 0 : received + message.length + MESSAGE_BYTES
    if (received > MOST_BYTES) throw new Garbled('an answer that does not end')
    if (type === 'T') columns = columnsOf(message)
    if (type === 'D' && columnsOf(message) !== columns) {
      throw new Garbled('a row of other columns than were told')
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

/** Fields of a byte and a text that ends in a zero, and one more zero at the end of all. */
function refuseUnterminated(message: Buffer): void {
  const end = message.length - 1
  if (message[end] === 0 && (end === HEADER_BYTES || message[end - 1] === 0)) return
  throw new Garbled('a message of errors without its end')
}

function getTypeParser(oid: number) {
  return PARSERS.get(oid) ?? String
}

function parseJson(written: string): unknown {
  try {
    return JSON.parse(written)
  } catch (error) {
    throw new Garbled('a column of JSON that is none', { cause: error })
  }
}
