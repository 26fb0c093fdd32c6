import type { WriteStream } from 'node:tty'
import type { Progress } from './log-group.ts'
import { instant } from './rounding.ts'

/** Into a file or a pipe goes one line for so many pages. A terminal gets one line that changes. */
const PAGES_A_LINE = 100

/** Tells on a stream how far a log group is read. */
export function createProgress(stream: Pick<WriteStream, 'write' | 'isTTY'>) {
  return ({ pages, lines, upToMs }: Progress, isLast: boolean): void => {
    const upTo = upToMs === undefined ? '' : `, up to ${instant(upToMs)}`
    const text = `slotkeeper: read ${pages} pages with ${lines} lines of a recording${upTo}`
    if (stream.isTTY) stream.write(`\r\u001b[K${text}${isLast ? '\n' : ''}`)
    else if (isLast || pages % PAGES_A_LINE === 0) stream.write(`${text}\n`)
  }
}
