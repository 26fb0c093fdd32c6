import { describe, expect, test } from 'vitest'
import { judge } from '../../../lambda/core/judge.ts'
import { type Frame, MOST_LINE_BYTES, STATES, writeFrame } from '../../../lambda/core/recording.ts'
import { createFrameReader, isRecordingLine } from '../../../lambda/core/recording-reader.ts'
import { makeReport } from '../../../lambda/core/report.ts'
import {
  identityOf,
  RULE_STATES,
  type Session,
  type Snapshot,
  secondsSince,
} from '../../../lambda/core/session.ts'
import { snapshot as anySnapshot, JUDGED, policyInput } from '../../support/arbitrary.ts'
import { isHarmless } from '../../support/hostile.ts'
import { fc } from '../../support/seeded.ts'
import { policy, session, snapshot } from '../../support/session.ts'

const NOW_US = 1_764_104_094_123_457
const now = Number(instantOf(NOW_US))

/** As the server writes an instant. */
function instantOf(microseconds: number): string {
  const padded = `${Math.floor(microseconds / 1e6)}.${String(microseconds % 1e6).padStart(6, '0')}`
  return padded.replace(/\.?0+$/, '')
}

/** A snapshot as `takeSnapshot` makes it: its ages are computed from its times. */
function seen(sessions: Session[], different: Partial<Snapshot> = {}): Snapshot {
  return snapshot(sessions, { ...different, atMs: now * 1000 })
}

/** The session with the ages, s, that `takeSnapshot` computes; without their fractions of a microsecond. */
function aged(one: Session, ageSeconds: number | null, transactionSeconds: number | null): Session {
  const before = (seconds: number) => instantOf(NOW_US - Math.round(seconds * 1e6))
  const stateChange = ageSeconds === null ? null : before(ageSeconds)
  const transactionStart = transactionSeconds === null ? null : before(transactionSeconds)
  return {
    ...one,
    backendStart: instantOf(NOW_US - 10_800_000_001),
    stateChange,
    ageSeconds: secondsSince(stateChange, now),
    transactionSeconds: secondsSince(transactionStart, now),
  }
}

const frame = (seenThen: Snapshot, reaped: Session[] = [], target = 'db:5432'): Frame => ({
  target,
  snapshot: seenThen,
  reaped: new Set(reaped.map(identityOf)),
})

/** What a reader gives for some lines: the frames, and every problem. */
function readAll(lines: string[]): { frames: Frame[]; problems: string[] } {
  const reader = createFrameReader()
  const results = [...lines.map((line) => reader.read(line)), reader.end()]
  return {
    frames: results.flatMap((result) => (result.ok && result.value ? [result.value] : [])),
    problems: results.flatMap((result) => (result.ok ? [] : result.problems)),
  }
}

const consistent = anySnapshot.map(({ sessions, ...rest }) =>
  seen(
    sessions.map((one) => aged(one, one.ageSeconds, one.transactionSeconds)),
    rest,
  ),
)

describe('what is read is what was written', () => {
  test('every field of every snapshot, and the sessions that were reaped', () => {
    fc.assert(
      fc.property(consistent, fc.array(fc.boolean()), fc.string(), (look, choices, target) => {
        const reaped = look.sessions.filter((_, index) => choices[index])
        const written = frame(look, reaped, target)
        expect(readAll(writeFrame(written))).toEqual({ frames: [written], problems: [] })
      }),
      JUDGED,
    )
  })

  test('every policy gives the same verdicts, and the same report', () => {
    fc.assert(
      fc.property(consistent, policyInput, (look, input) => {
        const judged = (of: Snapshot) => {
          const verdicts = judge(of, policy(input))
          const circumstances = { mode: 'observe', entry: 'warm', at: '', durationMs: 1 } as const
          const facts = { ...circumstances, policy: policy(input), verdicts, outcomes: [] }
          return { verdicts, report: makeReport({ target: '', snapshot: of, ...facts }) }
        }
        const [read] = readAll(writeFrame(frame(look))).frames
        expect(judged((read as Frame).snapshot)).toEqual(judged(look))
      }),
      JUDGED,
    )
  })

  test.each([...STATES, ...RULE_STATES, null, '', 'a state of a later release'])(
    'the state %j',
    (state) => {
      const written = frame(seen([aged(session({ state }), 1, null)]))
      expect(readAll(writeFrame(written)).frames).toEqual([written])
    },
  )

  test.each([
    { listening: true },
    { backup: true },
    { backup: false },
    { backup: null },
    { advisoryLock: true },
    { advisoryLock: null },
    { replicationSlot: true },
    { replicationSlot: null },
    { listening: true, backup: false, advisoryLock: null, replicationSlot: true },
  ])('what it holds: %j', (different) => {
    const written = frame(seen([aged(session(different), 1, 1)]))
    expect(readAll(writeFrame(written)).frames).toEqual([written])
  })
})

describe('a line', () => {
  const crowd = (count: number) =>
    seen(
      Array.from({ length: count }, (_, index) =>
        aged(
          session({
            pid: 20_000 + 13 * index,
            application: ['php', 'stock-worker', 'cron'][index % 3] as string,
          }),
          900.123456 + index,
          null,
        ),
      ),
    )

  test('takes about 40 bytes for a session', () => {
    const [line = ''] = writeFrame(frame(crowd(500)))
    expect(line.length / 500).toBeLessThan(50)
  })

  test('is one line, and drives no terminal', () => {
    fc.assert(
      fc.property(consistent, (look) => {
        const lines = writeFrame(frame(look))
        expect(lines).toHaveLength(1)
        expect(lines.every(isHarmless)).toBe(true)
        expect(lines.every(isRecordingLine)).toBe(true)
      }),
      JUDGED,
    )
  })

  test('is divided when it is longer than one event of a log', () => {
    const written = frame(crowd(5_000))
    const lines = writeFrame(written)
    expect(lines.length).toBeGreaterThan(1)
    for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(MOST_LINE_BYTES)
    expect(readAll(lines)).toEqual({ frames: [written], problems: [] })
  })

  test('is measured in bytes as it is written, escapes included', () => {
    const application = '\u202e'.repeat(20)
    const hostile = crowd(1_500).sessions.map((one, index) => ({
      ...one,
      database: `é${index}`,
      application,
    }))
    for (const line of writeFrame(frame(seen(hostile)))) {
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(MOST_LINE_BYTES)
    }
  })

  test('is told from other lines of a log', () => {
    const named = { message: 'would reap', application: '"slotkeeperRecording":1' }
    expect(isRecordingLine(JSON.stringify(named))).toBe(false)
  })

  test('may have what the log of a function adds to it', () => {
    const written = frame(seen([aged(session(), 1, null)]))
    const logged = writeFrame(written).map((line) =>
      JSON.stringify({ timestamp: '2026-01-01T00:00:00Z', level: 'ERROR', ...JSON.parse(line) }),
    )
    expect(readAll(logged)).toEqual({ frames: [written], problems: [] })
  })

  describe('in parts', () => {
    const one = frame(crowd(5_000), [], 'one')
    const other = frame(crowd(5_000), [], 'other')
    const lines = writeFrame(one)
    const count = lines.length

    test('is put together again when two are mixed, in any order', () => {
      const mixed = writeFrame(other).flatMap((line, index) => [
        line,
        lines[count - 1 - index] ?? '',
      ])
      const { frames, problems } = readAll(mixed)
      expect(problems).toEqual([])
      expect(frames).toEqual([other, one])
    })

    test('is refused when a part is missing', () => {
      const { frames, problems } = readAll(lines.slice(1))
      expect(frames).toEqual([])
      expect(problems).toEqual([
        `the snapshot of target "one" with "at":1764104094123457 is not whole: only ${count - 1} of its ${count} parts are there`,
      ])
    })

    test('is refused when a part comes twice', () => {
      const { problems } = readAll([lines[0] as string, ...lines])
      expect(problems).toEqual([
        `part: found 1 of ${count} for the snapshot of target "one" with "at":1764104094123457, of which 1 of ${count} came before`,
      ])
    })
  })
})

describe('a line that is not right', () => {
  const [line = ''] = writeFrame(frame(seen([aged(session(), 60, 1)])))
  const withField = (field: object) => JSON.stringify({ ...JSON.parse(line), ...field })
  const withSession = (at: number, value: unknown) => {
    const changed = JSON.parse(line)
    changed.sessions[0][at] = value
    return JSON.stringify(changed)
  }

  test.each([
    ['is empty', '', 'expected a line of a recording, found ""'],
    ['is text', 'START RequestId: 1', 'expected a line of a recording, found "START RequestId: 1"'],
    [
      'is of a log',
      '{"message":"sweep"}',
      'expected a line of a recording, with slotkeeperRecording, found {"message":"sweep"}',
    ],
    ['is a list', '[]', 'expected a line of a recording, with slotkeeperRecording, found []'],
    [
      'is cut',
      line.slice(0, -10),
      `expected a whole line of JSON; this one is cut or damaged after ${line.length - 10} characters, or has more behind its end`,
    ],
    [
      'is of another version',
      withField({ slotkeeperRecording: 2 }),
      'slotkeeperRecording: expected version 1, found 2; another version of Slotkeeper wrote this recording',
    ],
    ['has no time', withField({ at: undefined }), 'slotkeeperRecording.at: missing'],
    [
      'has a time that is text',
      withField({ at: '1' }),
      'slotkeeperRecording.at: expected a whole number from 0, found "1"',
    ],
    [
      'has a time beyond all',
      withField({ at: 9e15 }),
      'slotkeeperRecording.at: expected microseconds since 1970, found 9000000000000000',
    ],
    [
      'has no target',
      withField({ target: null }),
      'slotkeeperRecording.target: expected a text, found null',
    ],
    ['has a broken pool', withField({ pools: [['a']] }), /slotkeeperRecording\.pools\[0\]/],
    ['has part 3 of 2', withField({ part: [3, 2] }), /^part: found 3 of 2 for the snapshot/],
    ['has part 0', withField({ part: [0, 2] }), /^part: found 0 of 2 for the snapshot/],
  ])('%s', (_, text, problem) => {
    const { frames, problems } = readAll([text])
    expect(frames).toEqual([])
    if (typeof problem === 'string') expect(problems).toEqual([problem])
    else expect(problems[0]).toMatch(problem)
  })

  test.each([
    ['pool', 0, [1, -1, 0.5, '0', null]],
    ['pid', 1, [-1, 1.5, '1', null]],
    ['state', 2, [7, -1, 0.5, true, [0], {}]],
    ['start', 3, [null, '1', 1e300, NOW_US + 1]],
    ['change', 4, ['1', 0.5, NOW_US + 1]],
    ['flags', 5, [-1, 256, '1', null]],
    ['transaction', 6, [-1, '1', 0.5, NOW_US + 1]],
    ['eighth field', 7, [0]],
  ] as const)('has a session whose %s is wrong', (_, at, values) => {
    for (const value of values) {
      expect(readAll([withSession(at, value)]).problems).toEqual([
        expect.stringMatching(/^slotkeeperRecording\.sessions\[0\]: expected \[pool, pid, state, /),
      ])
    }
  })

  test('never throws, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(line.length), (inserted, at) => {
        const { frames, problems } = readAll([line.slice(0, at) + inserted + line.slice(at)])
        expect(frames.length + problems.length).toBeGreaterThan(0)
      }),
      JUDGED,
    )
  })
})
