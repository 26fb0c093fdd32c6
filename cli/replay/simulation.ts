import { judge } from '../../lambda/core/judge.ts'
import type { Policy } from '../../lambda/core/policy.ts'
import type { Session, Snapshot } from '../../lambda/core/session.ts'
import { countSlots } from '../../lambda/core/slots.ts'
import type { Verdict } from '../../lambda/core/verdict.ts'
import type { Closed, Stretch } from './history.ts'
import { createOccupancy, type Occupancy } from './occupancy.ts'
import type { PolicyResult } from './result.ts'
import { createTally } from './tally.ts'

export type NamedPolicy = { name: string; policy: Policy }

/** One sweep as the policy would have made it. */
export type Simulated = {
  /** Slots used when the sweep came. */
  used: number
  /** The number of sessions that it reaped. */
  reaps: number
  /** The sessions that it found, and a verdict for each. */
  present: Stretch[]
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
      let reaps = 0
      for (const [place, verdict] of verdicts.entries()) {
        if (verdict.verdict !== 'reap') continue
        const { rule, action, why } = verdict
        const stretch = present[place] as Stretch
        const reap = { rule, action, why, atMs }
        stretch.reaps[index] = reap
        tally.reap(reap, stretch.pool)
        reaps += 1
      }
      return { used: slots.used, reaps, present, verdicts }
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
