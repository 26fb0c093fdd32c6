import { BlockList, isIP } from 'node:net'
import { describe, expect, test } from 'vitest'
import { dependsOnHolders, judge } from '../../../lambda/core/judge.ts'
import type { Match } from '../../../lambda/core/match.ts'
import { measure } from '../../../lambda/core/measurements.ts'
import { makeReport } from '../../../lambda/core/report.ts'
import type { Session, Snapshot } from '../../../lambda/core/session.ts'
import { safeJson } from '../../../lambda/core/text.ts'
import type { ReapVerdict, Verdict } from '../../../lambda/core/verdict.ts'
import { JUDGED, policyInput, SECONDS, snapshot, type Written } from '../../support/arbitrary.ts'
import { expressionOf } from '../../support/hostile.ts'
import { fc } from '../../support/seeded.ts'
import { policy as parsed } from '../../support/session.ts'

function isIn(client: string, network: string): boolean {
  if (network === 'local' || client === 'local') return network === client
  const [address = '', bits] = network.split('/')
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(client) !== isIP(address)) return false
  const list = new BlockList()
  list.addSubnet(address, Number(bits), family)
  return list.check(client, family)
}

const hits = (globs: string[] | undefined, text: string | null) =>
  globs === undefined ||
  (text !== null && globs.some((written) => expressionOf(written).test(text)))

const meets = (given: Match | undefined, { user, database, application, client }: Session) =>
  hits(given?.users, user) &&
  hits(given?.databases, database) &&
  hits(given?.applications, application) &&
  (given?.clients === undefined || given.clients.some((network) => isIn(client, network)))

const isGuarded = ({ listening, advisoryLock }: Session) => listening || advisoryLock

const isSweeps = ({ user, application }: Session, { ownUser }: Snapshot) =>
  application === 'slotkeeper' &&
  [ownUser, `${ownUser}_clone`, ownUser.replace('_clone', '')].includes(user as string)

/** Who is safe from every rule: as docs/policy.md has it. */
function isSafe(one: Session, look: Snapshot, { protect = [] }: Written): boolean {
  return (
    isGuarded(one) ||
    one.superuser !== false ||
    one.user === null ||
    one.user.startsWith('rds') ||
    one.pid === look.ownPid ||
    protect.some((entry) => meets(entry, one))
  )
}

/** The rule that a session is to be reaped by, before `keep` and `budget`. */
function doomOf(one: Session, look: Snapshot, input: Written): string | undefined {
  if (isSafe(one, look, input)) return undefined
  if (isSweeps(one, look)) {
    return one.state === 'idle' && (one.ageSeconds ?? 0) >= 300 ? 'slotkeeper:orphan' : undefined
  }
  if (!meets(input.scope, one)) return undefined
  return input.rules?.find((given) => {
    const { state, olderThan } = given
    const limit = SECONDS[olderThan as keyof typeof SECONDS]
    const isOld = one.ageSeconds !== null && one.ageSeconds >= limit
    return one.state === state && isOld && meets(given.match, one) && isDue(given, look, input)
  })?.name
}

function isDue({ when }: { when?: object | undefined }, look: Snapshot, input: Written) {
  const { idleOver, slotsUsedOver } = (when ?? {}) as { idleOver?: number; slotsUsedOver?: string }
  const crowd = look.sessions.filter(
    (one) =>
      one.state === 'idle' &&
      meets(input.scope, one) &&
      !isSafe(one, look, input) &&
      !isSweeps(one, look),
  )
  const usable = look.slots.max - look.slots.reserved
  const share = usable > 0 ? Math.round((look.sessions.length / usable) * 1000) / 10 : 100
  return (
    (idleOver === undefined || crowd.length > idleOver) &&
    (slotsUsedOver === undefined || share > Number.parseFloat(slotsUsedOver))
  )
}

const reapsOf = (verdicts: Verdict[]) =>
  verdicts.filter((verdict): verdict is ReapVerdict => verdict.verdict === 'reap')
const rulesByPid = (verdicts: Verdict[]) =>
  new Map(reapsOf(verdicts).map(({ session: { pid }, rule }) => [pid, rule]))
const oldestFirst = (a: Session, b: Session) =>
  (b.ageSeconds ?? 0) - (a.ageSeconds ?? 0) || a.pid - b.pid

/** The idle sessions of each pool that were used last; those that serve nobody do not count. */
function youngestOfPools({ sessions }: Snapshot, keep: number): Set<Session> {
  const idle = sessions.filter((one) => one.state === 'idle' && !isGuarded(one))
  const pools = [...new Set(idle.map(poolOf))].map((pool) =>
    idle.filter((one) => poolOf(one) === pool),
  )
  return new Set(pools.flatMap((pool) => pool.sort(oldestFirst).reverse().slice(0, keep)))
}

const poolOf = ({ user, database, application, client }: Session) =>
  JSON.stringify([user, database, application, client])

describe('a snapshot', () => {
  test('reaps exactly the sessions that the policy selects, by their first matching rule', () => {
    fc.assert(
      fc.property(snapshot, policyInput, (look, { keep, budget, ...input }) => {
        const verdicts = judge(look, parsed(input))
        expect(verdicts.map((verdict) => verdict.session)).toEqual(look.sessions)
        const doomed = look.sessions.flatMap((one): [number, string][] => {
          const rule = doomOf(one, look, input)
          return rule === undefined ? [] : [[one.pid, rule]]
        })
        expect(rulesByPid(verdicts)).toEqual(new Map(doomed))
      }),
      JUDGED,
    )
  })

  test('reaps only what `keep` and `budget` allow', () => {
    fc.assert(
      fc.property(snapshot, policyInput, (look, input) => {
        const { keep = 0, budget = look.sessions.length } = input
        const reaps = reapsOf(judge(look, parsed(input)))
        for (const { session: one, rule, action } of reaps) {
          expect(isSafe(one, look, input)).toBe(false)
          const written = input.rules?.find((given) => given.name === rule)
          expect(action).toBe(written?.action ?? 'terminate')
        }
        const kept = youngestOfPools(look, keep)
        const doomed = look.sessions.filter((one) => {
          const rule = doomOf(one, look, input)
          return rule === 'slotkeeper:orphan' || (rule !== undefined && !kept.has(one))
        })
        const expected = doomed.sort(oldestFirst).slice(0, budget)
        expect(reaps.map(({ session: one }) => one).sort(oldestFirst)).toEqual(expected)
      }),
      JUDGED,
    )
  })

  test('is judged the same in any order', () => {
    const shuffled = snapshot.chain((look) =>
      fc.tuple(
        fc.constant(look),
        fc.shuffledSubarray(look.sessions, { minLength: look.sessions.length }),
      ),
    )
    fc.assert(
      fc.property(shuffled, policyInput, ([look, sessions], input) => {
        // Where all of them are ended, no order can matter.
        const policy = parsed({ budget: 2, ...input })
        expect(rulesByPid(judge({ ...look, sessions }, policy))).toEqual(
          rulesByPid(judge(look, policy)),
        )
      }),
      JUDGED,
    )
  })

  test('is judged the same without locks when no verdict depends on them', () => {
    let spared = 0
    fc.assert(
      fc.property(snapshot, policyInput, (look, input) => {
        const sessions = look.sessions.map((one) => ({ ...one, advisoryLock: null }))
        const rules = parsed(input)
        const unasked = judge({ ...look, sessions }, rules)
        if (unasked.some((verdict) => dependsOnHolders(verdict, rules))) return
        const asked = judge(look, rules)
        const bare = (verdicts: Verdict[]) => verdicts.map(({ session, ...verdict }) => verdict)
        expect(bare(unasked)).toEqual(bare(asked))
        if (look.sessions.some(({ advisoryLock }) => advisoryLock)) spared += 1
      }),
      JUDGED,
    )
    expect(spared).toBeGreaterThan(0)
  })

  test('gives a reason for each verdict, a report and metrics that CloudWatch accepts', () => {
    fc.assert(
      fc.property(snapshot, policyInput, (look, input) => {
        const verdicts = judge(look, parsed(input))
        for (const { why } of verdicts) expect(why).not.toBe('')
        const report = makeReport({
          target: 'shop',
          mode: 'observe',
          entry: 'client',
          at: '2026-01-01T00:00:00.000Z',
          durationMs: 1,
          snapshot: look,
          policy: parsed(input),
          verdicts,
          outcomes: [],
        })
        expect(JSON.parse(safeJson(report))).toEqual(JSON.parse(JSON.stringify(report)))
        for (const { values, counts } of measure(look, report, 'full', {
          policy: parsed(input),
          newlyCondemned: 0,
          wouldRefuse: 0,
        })) {
          expect(values.length).toBeGreaterThan(0)
          expect(values.length).toBeLessThanOrEqual(100)
          expect(counts.length).toBe(values.length)
          expect([...values, ...counts].every(Number.isFinite)).toBe(true)
        }
      }),
      JUDGED,
    )
  })
})
