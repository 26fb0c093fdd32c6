import { describe, expect, test } from 'vitest'
import { recordingIn } from '../../../../cli/replay/log-group.ts'
import { createProgress } from '../../../../cli/replay/progress.ts'
import { writeFrame } from '../../../../lambda/core/recording.ts'
import { at, frameAt, START_MS } from '../../../support/frames.ts'

const [line = ''] = writeFrame(frameAt(0, [{ pid: 2, opens: 0 }]))

describe('the line of a recording in a log event', () => {
  test.each([
    ['as it is', line, line],
    ['with white space around it', ` ${line}\n`, line],
    ['with fields of the log before it', `{"level":"ERROR",${line.slice(1)}`, undefined],
    ['as a text in a line of Lambda', JSON.stringify({ level: 'INFO', message: line }), line],
    ['as an object in one', JSON.stringify({ message: JSON.parse(line) }), line],
    ['cut', line.slice(0, 90), line.slice(0, 90)],
  ])('%s', (_, message, expected) => {
    expect(recordingIn(message)).toBe(expected ?? message)
  })

  test.each([
    ['another line', '{"level":"INFO","message":"sweep"}'],
    ['a text', 'START RequestId: slotkeeperRecording'],
    ['a text that names it', JSON.stringify({ message: 'a "slotkeeperRecording" is on' })],
    ['no object', 'null'],
    ['nothing', ''],
  ])('%s has none', (_, message) => {
    expect(recordingIn(message)).toBeUndefined()
  })
})

describe('progress', () => {
  const tell = (isTTY: boolean) => {
    const written: string[] = []
    const progress = createProgress({ isTTY, write: (text) => written.push(`${text}`) > 0 })
    for (let pages = 1; pages <= 250; pages += 1) {
      progress({ pages, lines: pages * 2, upToMs: START_MS }, false)
    }
    progress({ pages: 250, lines: 500, upToMs: undefined }, true)
    return written
  }
  const of = (pages: number) =>
    `slotkeeper: read ${pages} pages with ${pages * 2} lines of a recording, up to ${at(0)}`
  const last = 'slotkeeper: read 250 pages with 500 lines of a recording\n'

  test('is one line that changes on a terminal', () => {
    const written = tell(true)
    expect(written).toHaveLength(251)
    expect(written[7]).toBe(`\r\u001b[K${of(8)}`)
    expect(written.at(-1)).toBe(`\r\u001b[K${last}`)
  })

  test('is a line now and then in a pipe', () => {
    expect(tell(false)).toEqual([`${of(100)}\n`, `${of(200)}\n`, last])
  })
})
