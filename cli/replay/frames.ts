import type { Frame } from '../../lambda/core/recording.ts'
import { createFrameReader, type FrameReader } from '../../lambda/core/recording-reader.ts'
import { brief } from '../../lambda/core/schema.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { instant } from './rounding.ts'
import type { Line, Source, Where } from './sources.ts'

type Located = { frame: Frame; where: Where }

/**
 * Reads the frames of one recording in the order of their time.
 * @param sources its parts, in any order; a recording may be divided at any line
 * @param target the only target to read, if the sources have several
 * @throws SlotkeeperError of kind `settings` that names the file and the line
 */
export async function* readFrames(sources: Source[], target?: string): AsyncGenerator<Frame> {
  let last: Located | undefined
  for await (const located of framesOf(await inOrder(sources))) {
    if (target !== undefined && located.frame.target !== target) continue
    if (last) check(last, located)
    last = located
    yield located.frame
  }
  if (last) return
  const names = sources.map(({ name }) => name).join(', ')
  const what = target === undefined ? '' : ` of target ${brief(target)}`
  throw bad(names, `expected a recording with at least one snapshot${what}, found none`)
}

/** The frames of all sources. One may begin in one source and end in the next. */
async function* framesOf(sources: Source[]): AsyncGenerator<Located> {
  const reader = createFrameReader()
  for (const source of sources) yield* framesIn(source, reader)
  const end = reader.end()
  if (!end.ok) throw bad(`the end of ${sources.at(-1)?.name}`, end.problems.join('; '))
}

async function* framesIn(source: Source, reader: FrameReader): AsyncGenerator<Located> {
  for await (const line of source.lines()) {
    const frame = readLine(line, reader)
    if (frame) yield { frame, where: line.where }
  }
}

/** Undefined for an empty line, and for a part of a frame whose other parts are still to come. */
function readLine({ text, where }: Line, reader: FrameReader): Frame | undefined {
  if (text === '') return undefined
  const read = reader.read(text)
  if (!read.ok) throw bad(where(), read.problems.join('; '))
  return read.value
}

/** The sources by the time of their first whole frame. */
async function inOrder(sources: Source[]): Promise<Source[]> {
  if (sources.length < 2) return sources
  const begun: { source: Source; atMs: number }[] = []
  for (const source of sources) begun.push(await begin(source))
  return begun.sort((a, b) => a.atMs - b.atMs).map(({ source }) => source)
}

/** Finds the time of a source's first whole frame. */
async function begin(source: Source): Promise<{ source: Source; atMs: number }> {
  const lines = source.lines()
  const reader = createFrameReader()
  const read: Line[] = []
  for (let next = await lines.next(); !next.done; next = await lines.next()) {
    read.push(next.value)
    const frame = readLine(next.value, reader)
    if (frame === undefined) continue
    const { atMs } = frame.snapshot
    if (source.once) return { atMs, source: { ...source, lines: () => resumed(read, lines) } }
    await lines.return(undefined)
    return { atMs, source }
  }
  throw bad(source.name, 'expected a recording with at least one whole snapshot, found none')
}

async function* resumed(read: Line[], rest: AsyncGenerator<Line>): AsyncGenerator<Line> {
  yield* read
  yield* rest
}

function check(last: Located, { frame, where }: Located): void {
  if (frame.target !== last.frame.target) {
    throw bad(
      where(),
      `found target ${brief(frame.target)} after ${brief(last.frame.target)} (${last.where()}): two servers are mixed; expected the recording of one, or --target NAME`,
    )
  }
  const [before, now] = [last.frame.snapshot.atMs, frame.snapshot.atMs]
  if (now > before) return
  throw bad(
    where(),
    `found the snapshot of ${instant(now)} after that of ${instant(before)} (${last.where()}); expected each snapshot once, in the order of time. The server's clock was set back, lines are out of order, or two files overlap`,
  )
}

function bad(where: string, problem: string): SlotkeeperError {
  return new SlotkeeperError('settings', `${where}: ${problem}`)
}
