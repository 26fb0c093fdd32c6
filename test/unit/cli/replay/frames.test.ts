import { describe, expect, test } from 'vitest'
import { readFrames } from '../../../../cli/replay/frames.ts'
import type { Source } from '../../../../cli/replay/sources.ts'
import { type Frame, writeFrame } from '../../../../lambda/core/recording.ts'
import { at, frameAt, frames, type Script } from '../../../support/frames.ts'

const scripts: Script[] = [{ pid: 2, opens: 0 }]
const line = (seconds: number, target = 'shop') =>
  writeFrame({ ...frameAt(seconds, scripts), target })[0] as string

const source = (name: string, ...texts: string[]): Source => ({
  name,
  async *lines() {
    for (const [index, text] of texts.entries()) {
      yield { text, where: () => `${name}, line ${index + 1}` }
    }
  },
})

async function read(sources: Source[], target?: string): Promise<Frame[]> {
  const all: Frame[] = []
  for await (const frame of readFrames(sources, target)) all.push(frame)
  return all
}

const times = (all: Frame[]) => all.map(({ snapshot }) => new Date(snapshot.atMs).toISOString())

describe('a bad recording gets an error with file and line', () => {
  const whole = line(60)
  test.each<[string, Source[], string]>([
    [
      'nothing at all',
      [source('a')],
      'a: expected a recording with at least one snapshot, found none',
    ],
    ['empty lines', [source('a', '', '')], 'a: expected a recording'],
    ['an empty file among others', [source('a', whole), source('b')], 'b: expected a recording'],
    ['a cut line', [source('a', line(0), whole.slice(0, 90))], 'a, line 2: expected a whole line'],
    ['another text', [source('a', 'hello')], 'a, line 1: expected a line of a recording'],
    [
      'another version',
      [source('a', line(0), whole.replace(/"slotkeeperRecording":1/, '"slotkeeperRecording":2'))],
      'a, line 2: slotkeeperRecording: expected version 1, found 2',
    ],
    [
      'two servers',
      [source('a', line(0), line(60, 'crm'))],
      'a, line 2: found target "crm" after "shop" (a, line 1): two servers are mixed',
    ],
    [
      'two servers in two files',
      [source('a', line(0)), source('b', line(60, 'crm'))],
      'b, line 1: found target "crm" after "shop" (a, line 1)',
    ],
    [
      'a clock that was set back',
      [source('a', line(0), line(120), line(60))],
      `a, line 3: found the snapshot of ${at(60)} after that of ${at(120)} (a, line 2); expected each snapshot once`,
    ],
    ['a snapshot twice', [source('a', whole, whole)], 'a, line 2: found the snapshot of'],
    [
      'files that overlap',
      [source('b', line(60), line(180)), source('a', line(0), line(120))],
      'b, line 1: found the snapshot of',
    ],
  ])('%s', async (_, sources, problem) => {
    const failed = read(sources)
    await expect(failed).rejects.toMatchObject({ kind: 'settings' })
    await expect(failed).rejects.toThrow(problem)
  })

  test('a snapshot of which a part is missing', async () => {
    const many = Array.from({ length: 10_000 }, (_, pid): Script => ({ pid: pid + 2, opens: 0 }))
    const parts = writeFrame(frameAt(0, many))
    expect(parts.length).toBeGreaterThan(1)
    await expect(read([source('a', ...parts.slice(1))])).rejects.toThrow(
      'the end of a: the snapshot',
    )
    // The parts may be in two files.
    const [first = '', ...others] = parts
    const divided = [source('b', ...others, line(60)), source('a', line(-60), first)]
    expect((await read(divided)).map(({ snapshot }) => snapshot.sessions.length)).toEqual([
      0, 10_000, 1,
    ])
  })
})

test('files are sorted by their time', async () => {
  const divided = [source('b', line(120), line(180)), source('a', line(0), line(60))]
  expect(times(await read(divided))).toEqual([at(0), at(60), at(120), at(180)])
})

test('one target of several', async () => {
  const mixed = source('a', line(0), line(0, 'crm'), line(60), line(50, 'crm'))
  expect(times(await read([mixed], 'crm'))).toEqual([at(0), at(50)])
  await expect(read([mixed], 'shop/1')).rejects.toThrow(
    'one snapshot of target "shop/1", found none',
  )
})

test('reading holds one frame at a time', async () => {
  const lines = frames(60, 600, scripts).flatMap(writeFrame)
  let given = 0
  const counted: Source = {
    name: 'a',
    async *lines() {
      for (const text of lines) {
        given += 1
        yield { text, where: () => 'a' }
      }
    },
  }
  let taken = 0
  for await (const _ of readFrames([counted])) {
    taken += 1
    expect(given).toBe(taken)
  }
  expect(taken).toBe(11)
})
