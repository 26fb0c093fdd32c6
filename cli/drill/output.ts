import { StringDecoder } from 'node:string_decoder'

/** Lines that are kept from the beginning and from the end of a stretch of output. */
const FIRST_LINES = 10
const LAST_LINES = 5
/** Lines that are kept from the end of all. */
const VERY_LAST_LINES = 10
/** A longer line is cut into pieces, so that a program that writes no line end fills no memory. */
const MOST_CHARACTERS = 2_000

/** What a program wrote: the first and the last lines of it. Those between are only counted. */
export type Excerpt = { first: string[]; skipped: number; last: string[] }

/** Keeps a bounded excerpt of a program's output, however much it writes. */
export type Output = {
  /** Takes one stream of the program. */
  take(stream: NodeJS.ReadableStream): void
  /** Begins a new stretch. */
  mark(): void
  /** What was written since the last mark. */
  sinceMark(): Excerpt
  /** The last lines of all. */
  last(): string[]
  /** Replaces each secret in a text. */
  redact(text: string): string
}

/**
 * @param show called with each line
 * @param secrets texts to replace in each line, such as passwords
 */
export function keepOutput(show: (line: string) => void, secrets: string[]): Output {
  const redact = (text: string) =>
    secrets.reduce((kept, secret) => kept.replaceAll(secret, '***'), text)
  let stretch: Excerpt = { first: [], skipped: 0, last: [] }
  const last: string[] = []
  const keep = (written: string) => {
    const line = redact(written)
    show(line)
    push(last, line, VERY_LAST_LINES)
    if (stretch.first.length < FIRST_LINES) stretch.first.push(line)
    else stretch.skipped += push(stretch.last, line, LAST_LINES)
  }
  return {
    take(stream) {
      const decoder = new StringDecoder()
      let rest = ''
      stream.on('data', (chunk: Buffer) => {
        const lines = (rest + decoder.write(chunk)).split(/\r?\n/)
        rest = lines.pop() ?? ''
        for (const line of lines) for (const piece of pieces(line)) keep(piece)
        for (; rest.length > MOST_CHARACTERS; rest = rest.slice(MOST_CHARACTERS)) {
          keep(rest.slice(0, MOST_CHARACTERS))
        }
      })
      stream.on('end', () => {
        if (rest !== '') keep(rest)
      })
      // A program may close its end at any time. What it wrote before is kept.
      stream.on('error', () => undefined)
    },
    mark() {
      stretch = { first: [], skipped: 0, last: [] }
    },
    sinceMark: () => structuredClone(stretch),
    last: () => [...last],
    redact,
  }
}

/** Adds a line, and drops the oldest one if there are too many. Returns how many it dropped. */
function push(lines: string[], line: string, most: number): number {
  lines.push(line)
  return lines.length > most ? lines.splice(0, 1).length : 0
}

function pieces(line: string): string[] {
  return line.length <= MOST_CHARACTERS ? [line] : (line.match(/.{1,2000}/gsu) ?? [])
}

/** An excerpt as lines, with a line in place of those that were left out. */
export function linesOf({ first, skipped, last }: Excerpt): string[] {
  return [...first, ...(skipped > 0 ? [`… ${skipped} more lines …`] : []), ...last]
}
