import { createReadStream, statSync } from 'node:fs'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'

/** A line of a recording, and where it stands, for an error. */
export type Line = { text: string; where: Where }

export type Where = () => string

/** Where the lines of a recording come from. Each call reads them from the beginning, if they can be read again. */
export type Source = {
  name: string
  /** It can't be read again, because it is a pipe. */
  once?: boolean
  lines(): AsyncGenerator<Line>
}

/** Far more than a line of a recording has: `MOST_LINE_BYTES` is 60,000. */
const MOST_CHARACTERS = 16 * 2 ** 20

const CHUNK_BYTES = 2 ** 20

/** The first byte of what gzip makes (RFC 1952, 2.3.1). No text begins with it. */
const GZIP = 0x1f

/** A file, or a named pipe such as the shell's `<(zcat FILE)`. */
export function fileSource(name: string): Source {
  return {
    name,
    once: statSync(name, { throwIfNoEntry: false })?.isFile() === false,
    lines: () => linesOf(name, createReadStream(name, { highWaterMark: CHUNK_BYTES })),
  }
}

/** Standard input. */
export function inputSource(input: Readable): Source {
  return { name: 'standard input', once: true, lines: () => linesOf('standard input', input) }
}

/** What a stream holds, decompressed if it was compressed. Its name does not tell: it may be a pipe. */
async function* contentOf(stream: Readable): AsyncGenerator<Buffer> {
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>
  try {
    const { value: first = Buffer.alloc(0) } = (await chunks.next()) as { value?: Buffer }
    const all = async function* () {
      yield first
      yield* chunks
    }
    if (first[0] !== GZIP) yield* all()
    // The consumer of the last stream gets the error of each of them.
    else yield* pipeline(all, createGunzip({ chunkSize: CHUNK_BYTES }), () => undefined)
  } finally {
    // A stream that stays open would keep the process alive.
    stream.destroy()
  }
}

async function* linesOf(name: string, stream: Readable): AsyncGenerator<Line> {
  let number = 0
  const line = (text: string): Line => {
    number += 1
    const found = number
    return {
      text: text.endsWith('\r') ? text.slice(0, -1) : text,
      where: () => `${name}, line ${found}`,
    }
  }
  let rest = ''
  try {
    // It also takes away the byte order mark that some programs write.
    const decoder = new TextDecoder()
    for await (const chunk of contentOf(stream)) {
      const texts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = texts.pop() ?? ''
      for (const text of texts) yield line(text)
      if (rest.length > MOST_CHARACTERS) break
    }
  } catch (error) {
    throw new SlotkeeperError('settings', `${name}: ${messageOf(error)}`)
  }
  if (rest !== '') yield line(rest)
}
