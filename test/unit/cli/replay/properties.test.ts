import { expect, test } from 'vitest'
import { readFrames } from '../../../../cli/replay/frames.ts'
import { createReplayer } from '../../../../cli/replay/replay.ts'
import type { Replay } from '../../../../cli/replay/result.ts'
import type { Source } from '../../../../cli/replay/sources.ts'
import { suggest } from '../../../../cli/replay/suggest.ts'
import { judge } from '../../../../lambda/core/judge.ts'
import { type Memory, recall, remember } from '../../../../lambda/core/memory.ts'
import { type Policy, parsePolicy } from '../../../../lambda/core/policy.ts'
import { type Frame, writeFrame } from '../../../../lambda/core/recording.ts'
import { identityOf } from '../../../../lambda/core/session.ts'
import { reapVerdicts } from '../../../../lambda/core/verdict.ts'
import { clients, name, RUNS } from '../../../support/arbitrary.ts'
import { frameAt, type Script } from '../../../support/frames.ts'
import { fc } from '../../../support/seeded.ts'
import { policy } from '../../../support/session.ts'

const SECONDS = 3_000

const known = { user: 'shop_app', application: 'php' }
const is = fc.oneof(
  { arbitrary: fc.constant(known), weight: 3 },
  fc.record({ application: fc.constantFrom('php', 'cron', '', 'c*', 'a?p') }),
  fc.record({ user: name, client: fc.constantFrom(...clients) }),
  fc.record({ user: fc.constantFrom('shop_app', 'etl_%', 'etl_1'), superuser: fc.boolean() }),
  fc.constant({ listening: true }),
  fc.constant({ advisoryLock: true }),
)
const use = fc.oneof(
  fc.nat(SECONDS),
  fc.tuple(fc.nat(SECONDS), fc.nat(300)).map(([from, long]) => [from, from + long] as const),
)
const scripts: fc.Arbitrary<Script[]> = fc
  .array(
    fc.record(
      {
        opens: fc.integer({ min: -1_000, max: SECONDS }),
        uses: fc.array(use, { maxLength: 6 }),
        closes: fc.integer({ min: 0, max: SECONDS }),
        busyState: fc.constantFrom('active', 'idle in transaction'),
        is,
      },
      { requiredKeys: ['opens', 'uses'] },
    ),
    { minLength: 1, maxLength: 25, size: 'max' },
  )
  .map((all) =>
    all.map(({ uses, ...script }, index): Script => {
      const ordered: NonNullable<Script['uses']> = []
      let end = script.opens
      for (const one of [...uses].sort((a, b) => first(a) - first(b))) {
        if (first(one) < end) continue
        ordered.push(typeof one === 'number' ? one : [one[0], one[1]])
        end = typeof one === 'number' ? one : one[1]
      }
      return { ...script, uses: ordered, pid: index + 2 }
    }),
  )
const first = (one: number | readonly [number, number]) => (typeof one === 'number' ? one : one[0])

/** Mostly a snapshot a minute; some come earlier or later, or are missing. */
const moments = fc
  .array(fc.oneof({ arbitrary: fc.constant(60), weight: 5 }, fc.integer({ min: 1, max: 500 })), {
    minLength: 1,
    maxLength: 40,
    size: 'max',
  })
  .map((pauses) => pauses.map((_, index) => pauses.slice(0, index + 1).reduce((a, b) => a + b)))

const slots = { slots: { max: 20, reserved: 3 } }
const recording = fc
  .tuple(scripts, moments)
  .map(([all, times]) => times.map((seconds) => frameAt(seconds, all, slots)))

const rule = fc.record(
  {
    state: fc.constantFrom('idle', 'idle', 'idle in transaction', 'active'),
    olderThan: fc.constantFrom('0s', '1m', '90s', '5m', '15m'),
    when: fc.constantFrom({ idleOver: 4 }, { slotsUsedOver: '60%' }, { idleOver: 2 }),
    match: fc.constantFrom({ applications: ['php'] }, { users: ['*_1'] }),
  },
  { requiredKeys: ['state', 'olderThan'] },
)
const anyPolicy = fc
  .record(
    {
      rules: fc.array(rule, { minLength: 1, maxLength: 3 }),
      keep: fc.nat(2),
      budget: fc.integer({ min: 1, max: 3 }),
    },
    { requiredKeys: ['rules'] },
  )
  .map(({ rules, ...rest }) => {
    const named = rules.map((one, index) => ({ name: `r${index}`, ...one }))
    const parsed = parsePolicy({ ...rest, rules: named })
    if (!parsed.ok) throw new Error(parsed.problems.join())
    return parsed.value
  })

function replay(frames: Frame[], ...policies: Policy[]): Replay {
  const replayer = createReplayer(
    policies.map((one, index) => ({ name: `policy ${index}`, policy: one })),
  )
  for (const frame of frames) replayer.add(frame)
  return replayer.end()
}

/** A server on which the policy really reaps at each of the moments. */
function reaping(all: Script[], times: number[], by: Policy): Frame[] {
  let memory: Memory | undefined
  const ended = new Set<string>()
  return times.map((seconds) => {
    const { target, snapshot } = frameAt(seconds, all, slots)
    const sessions = snapshot.sessions.filter((session) => !ended.has(identityOf(session)))
    const seen = recall(memory, { ...snapshot, sessions })
    memory = remember(seen)
    const reaped = new Set(reapVerdicts(judge(seen, by)).map(({ session }) => identityOf(session)))
    for (const identity of reaped) ended.add(identity)
    return { target, snapshot: seen, reaped }
  })
}

test('the policy that really reaped would have ended exactly what it ended', () => {
  fc.assert(
    fc.property(scripts, moments, anyPolicy, (all, times, by) => {
      const frames = reaping(all, times, by)
      const { report, pictures } = replay(frames, by)
      const ended = frames.reduce((sum, { reaped }) => sum + reaped.size, 0)
      expect(report.policies[0]).toMatchObject({ wouldReap: ended, regretted: 0, undecided: ended })
      for (const [index, { used, policies }] of pictures.series.points.entries()) {
        expect(policies[0]).toEqual({ used, reaps: frames[index]?.reaped.size, regrets: 0 })
      }
    }),
    RUNS,
  )
})

// With `when`, `keep` or `budget` this does not hold: what is ended early makes the crowd smaller, for example.
test('a single rule with a smaller age ends what the larger one ends, and maybe more', () => {
  const ages = ['0s', '30s', '1m', '5m', '15m', '30m']
  const pair = fc.tuple(fc.nat(ages.length - 1), fc.nat(ages.length - 1))
  fc.assert(
    fc.property(recording, pair, (frames, [a, b]) => {
      const [strict, lax] = [Math.min(a, b), Math.max(a, b)].map((place) =>
        policy({ rules: [{ name: 'r', state: 'idle', olderThan: ages[place] as '1m' }] }),
      ) as [Policy, Policy]
      const { difference, policies } = replay(frames, strict, lax).report
      expect(difference?.onlySecond).toBe(0)
      const [first, second] = policies
      expect(first?.wouldReap).toBeGreaterThanOrEqual(second?.wouldReap ?? Number.NaN)
      expect(first?.regretted).toBeGreaterThanOrEqual(second?.regretted ?? Number.NaN)
    }),
    RUNS,
  )
})

const sourceOf = (name: string, lines: string[]): Source => ({
  name,
  async *lines() {
    for (const [index, text] of lines.entries()) yield { text, where: () => `${name}:${index + 1}` }
  },
})

async function replayFiles(files: string[][], by: Policy): Promise<Replay> {
  const replayer = createReplayer([{ name: 'p', policy: by }])
  const sources = files.map((lines, index) => sourceOf(`file ${index}`, lines))
  for await (const frame of readFrames(sources)) replayer.add(frame)
  return replayer.end()
}

test('a recording that is divided into files gives the same, whatever their order', async () => {
  const cuts = fc.array(fc.nat(39), { maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(recording, cuts, anyPolicy, fc.boolean(), async (frames, at, by, reverse) => {
      const lines = frames.flatMap(writeFrame)
      const places = [0, ...at.filter((cut) => cut < lines.length).sort((a, b) => a - b)]
      const files = places
        .map((place, index) => lines.slice(place, places[index + 1]))
        .filter((file) => file.length > 0)
      const whole = await replayFiles([lines], by)
      expect(await replayFiles(reverse ? files.reverse() : files, by)).toEqual(whole)
      // What was written and read back gives what the frames themselves give.
      const { report } = replay(frames, by)
      expect({ ...whole.report.policies[0], name: '' }).toEqual({ ...report.policies[0], name: '' })
    }),
    RUNS,
  )
})

test('the suggested policy is valid, and has no regret on its recording', () => {
  let suggested = 0
  fc.assert(
    fc.property(recording, (frames) => {
      const { policy: written } = suggest(replay(frames))
      if (written === undefined) return
      suggested += 1
      const { wouldReap, regretted } = replay(frames, policy(written)).report.policies[0] ?? {}
      expect(regretted).toBe(0)
      expect(wouldReap).toBeGreaterThan(0)
    }),
    RUNS,
  )
  expect(suggested).toBeGreaterThan(RUNS.numRuns / 4)
})

test('all counts of a result agree', () => {
  fc.assert(
    fc.property(recording, anyPolicy, anyPolicy, (frames, one, other) => {
      const { report, pictures } = replay(frames, one, other)
      const sum = (counts: number[]) => counts.reduce((a, b) => a + b, 0)
      for (const [index, result] of report.policies.entries()) {
        const { wouldReap, regretted, undecided, byRule, byPool, byHour, regrets } = result
        expect(regretted + undecided).toBeLessThanOrEqual(wouldReap)
        expect(sum(Object.values(byRule))).toBe(wouldReap)
        expect(regrets).toHaveLength(regretted)
        for (const key of ['wouldReap', 'regretted', 'undecided'] as const) {
          expect(sum(byPool.map((row) => row[key]))).toBe(result[key])
          expect(sum(byHour.map((row) => row[key]))).toBe(result[key])
        }
        expect(sum(byPool.flatMap(({ hours }) => hours))).toBe(wouldReap)
        const points = pictures.series.points.map(({ policies }) => policies[index])
        expect(sum(points.map((point) => point?.reaps ?? 0))).toBe(wouldReap)
        expect(sum(points.map((point) => point?.regrets ?? 0))).toBe(regretted)
        for (const { idleSeconds } of regrets) expect(idleSeconds[0]).toBeLessThan(idleSeconds[1])
      }
      const { both = 0, onlyFirst = 0, onlySecond = 0, sessions = [] } = report.difference ?? {}
      expect(both + onlyFirst).toBe(report.policies[0]?.wouldReap)
      expect(both + onlySecond).toBe(report.policies[1]?.wouldReap)
      expect(sessions).toHaveLength(both + onlyFirst + onlySecond)
      const gaps = report.pools.map(({ gaps: of }) => of.used + of.ended)
      expect(sum(gaps)).toBeLessThanOrEqual(report.gaps)
    }),
    RUNS,
  )
})
