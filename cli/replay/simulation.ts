import { judge } from '../../lambda/core/judge.ts'
import type { Policy } from '../../lambda/core/policy.ts'
import { poolFields } from '../../lambda/core/pool.ts'
import type { Session, Snapshot } from '../../lambda/core/session.ts'
import { countSlots } from '../../lambda/core/slots.ts'
import type { Verdict } from '../../lambda/core/verdict.ts'
import type { Closed, PoolHistory, Reap, Stretch } from './history.ts'
import { createOccupancy, type Occupancy } from './occupancy.ts'
import { type Counts, MOST_LISTED, type PolicyResult, type Regret } from './result.ts'
import { instant, tenthDown, tenthUp } from './rounding.ts'

export type NamedPolicy = { name: string; policy: Policy }

/** One sweep as the policy would have made it. */
export type Simulated = {
  /** Slots used when the sweep came. */
  used: number
  /** What was reaped for the first time. */
  reaped: Stretch[]
  verdicts: Verdict[]
}

/** What the server would have been like with one policy. */
export type Simulation = {
  /** @param stretches those of the snapshot's sessions, in its order */
  sweep(snapshot: Snapshot, stretches: Stretch[]): Simulated
  close(closed: Closed): void
  /** @param recorded how full the server was without the policy */
  result(recorded: Occupancy): PolicyResult
}

/** @param index the policy's place among the policies of the replay */
export function createSimulation({ name, policy }: NamedPolicy, index: number): Simulation {
  const occupancy = createOccupancy()
  const tally = createTally()

  return {
    sweep(recorded, stretches) {
      const present: Stretch[] = []
      const sessions: Session[] = []
      for (const stretch of stretches) {
        const seen = asSeen(stretch, index)
        if (seen === undefined) continue
        present.push(stretch)
        sessions.push(seen)
      }
      const snapshot = { ...recorded, sessions }
      const { atMs } = snapshot
      const slots = countSlots(snapshot)
      occupancy.add(atMs, slots)
      const verdicts = judge(snapshot, policy)
      const reaped: Stretch[] = []
      for (const [place, verdict] of verdicts.entries()) {
        if (verdict.verdict !== 'reap') continue
        const { rule, action, why } = verdict
        const stretch = present[place] as Stretch
        const reap = { rule, action, why, atMs }
        stretch.reaps[index] = reap
        tally.reap(reap, stretch.pool)
        reaped.push(stretch)
      }
      return { used: slots.used, reaped, verdicts }
    },

    close(closed) {
      const reap = closed.stretch.reaps[index]
      if (reap !== undefined) tally.close(reap, closed)
    },

    result(recorded) {
      const replayed = occupancy.result()
      const bothWays = (key: keyof Occupancy) => ({
        recorded: recorded[key],
        replayed: replayed[key],
      })
      return {
        name,
        ...tally.result(policy.rules.map((rule) => rule.name)),
        peakUsedPercent: bothWays('peakUsedPercent'),
        meanUsedPercent: bothWays('meanUsedPercent'),
        fullMinutes: bothWays('fullMinutes'),
        regrets: tally.regrets(),
      }
    },
  }
}

/** The session as the sweep would have found it; undefined if the policy ended it before. */
function asSeen({ session, reaps }: Stretch, index: number): Session | undefined {
  const reap = reaps[index]
  if (reap === undefined) return session
  // A session whose query was cancelled keeps its slot. What it does then is not in the recording.
  return reap.action === 'cancel' ? { ...session, ageSeconds: null } : undefined
}

const none = (): Counts => ({ wouldReap: 0, regretted: 0, undecided: 0 })

/** Counts reaps, and what became of them, by rule, pool and hour. */
function createTally() {
  const total = none()
  const rules = new Map<string, number>()
  const pools = new Map<PoolHistory, Counts>()
  const hours = new Map<number, Counts>()
  const regrets: { atMs: number; regret: Regret }[] = []

  const each = ({ atMs }: Reap, pool: PoolHistory, key: keyof Counts) => {
    const hour = new Date(atMs).getUTCHours()
    const ofPool = pools.get(pool) ?? none()
    const ofHour = hours.get(hour) ?? none()
    pools.set(pool, ofPool)
    hours.set(hour, ofHour)
    for (const counts of [total, ofPool, ofHour]) counts[key] += 1
  }

  return {
    reap(reap: Reap, pool: PoolHistory): void {
      each(reap, pool, 'wouldReap')
      rules.set(reap.rule, (rules.get(reap.rule) ?? 0) + 1)
    },

    close(reap: Reap, { stretch: { pool, session }, fate, bounds: [least, most] }: Closed): void {
      if (fate === 'ended') return
      each(reap, pool, fate === 'used' ? 'regretted' : 'undecided')
      if (fate !== 'used' || regrets.length >= MOST_LISTED) return
      const { pid } = session
      const { rule, atMs } = reap
      const idleSeconds: Regret['idleSeconds'] = [tenthDown(least), tenthUp(most)]
      const regret = { pid, ...poolFields(session), rule, at: instant(atMs), idleSeconds }
      regrets.push({ atMs, regret })
    },

    /** @param names the rules to count even if they reaped nothing */
    result(names: string[]) {
      const counted = [...names, ...[...rules.keys()].filter((rule) => !names.includes(rule))]
      return {
        ...total,
        byRule: Object.fromEntries(counted.map((rule) => [rule, rules.get(rule) ?? 0])),
        byPool: [...pools]
          .map(([{ pool }, counts]) => ({ ...pool, ...counts }))
          .sort((a, b) => b.regretted - a.regretted || b.wouldReap - a.wouldReap),
        byHour: [...hours]
          .map(([hour, counts]) => ({ hour, ...counts }))
          .sort((a, b) => a.hour - b.hour),
      }
    },

    regrets: () => regrets.sort((a, b) => a.atMs - b.atMs).map(({ regret }) => regret),
  }
}
