import { createReadStream } from 'node:fs'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'

/** A line of a recording, and where it stands, for an error. */
export type Line = { text: string; where: Where }

export type Where = () => string

/** Where the lines of a recording come from. Each call reads them from the beginning. */
export type Source = { name: string; lines(): AsyncGenerator<Line> }

/** Far more than a line of a recording has: `MOST_LINE_BYTES` is 60,000. */
const MOST_CHARACTERS = 16 * 2 ** 20

const CHUNK_BYTES = 2 ** 20

/** A file. If its name ends in `.gz`, it is decompressed. */
export function fileSource(name: string): Source {
  return { name, lines: () => linesOf(name, open(name)) }
}

/** Standard input. It can be read once. */
export function inputSource(input: Readable): Source {
  return { name: 'standard input', lines: () => linesOf('standard input', input) }
}

function open(name: string): Readable {
  const file = createReadStream(name, { highWaterMark: CHUNK_BYTES })
  if (!name.endsWith('.gz')) return file
  // The consumer of the last stream gets the error of each of them.
  return pipeline(file, createGunzip({ chunkSize: CHUNK_BYTES }), () => undefined)
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
    for await (const chunk of stream.setEncoding('utf8')) {
      const texts = (rest + chunk).split('\n')
      rest = texts.pop() ?? ''
      for (const text of texts) yield line(text)
      if (rest.length > MOST_CHARACTERS) break
    }
  } catch (error) {
    throw new SlotkeeperError('settings', `${name}: ${messageOf(error)}`)
  }
  if (rest !== '') yield line(rest)
}
