import { type Churn, countNew, identities } from './core/churn.ts'
import { type Hindsight, lookBack, type Period, type UsedAgain } from './core/hindsight.ts'
import { type Memory, recall, remember } from './core/memory.ts'
import type { Policy } from './core/policy.ts'
import type { Mode } from './core/report.ts'
import type { Snapshot } from './core/session.ts'
import { reapVerdicts } from './core/verdict.ts'
import type { Deadline, Gate } from './postgres/gate.ts'
import { type SweepResult, sweep } from './sweep.ts'

/** The result of a sweep, and what is new in it since the previous sweep. */
export type TargetSweep = SweepResult & {
  /**
   * The number of sessions with a verdict to reap that the last successful sweep did not have, if that one observed:
   * the sessions that it observed are still there. Otherwise all of them.
   */
  newlyCondemned: number
  /** In mode `observe`: the number of sessions whose reap the server would refuse. Otherwise 0. */
  wouldRefuse: number
  /** Paths of the policy that match no session, and that no earlier sweep reported. */
  newlyUnmatched: string[]
  /** In mode `observe`: the sessions that an earlier sweep would have ended, and that were used since the last one. */
  usedAgain: UsedAgain[]
  /** In mode `observe`, once a day: what observing showed in the last 24 hours, or since it began. */
  observed: Period | undefined
}

/** One server, and what is kept about it between its sweeps. */
export type Target = {
  name: string
  policy: Policy
  /** @throws SlotkeeperError; if the snapshot was taken, what it showed is remembered even then */
  sweep(mode: Mode, deadline: Deadline): Promise<TargetSweep>
  /** Whether the server was full (53300) when a sweep last connected, even if a walsender's slot let it in. */
  metFullServer(): boolean
  /** Closes the kept connection. */
  close(): Promise<void>
}

/**
 * Creates a target that has not been swept yet. It connects at its first sweep.
 * @param record whether its snapshots are for a recording
 */
export function createTarget(name: string, policy: Policy, gate: Gate, record = false): Target {
  let memory: Memory | undefined
  let churn: Churn | undefined
  let observed: ReadonlySet<string> | undefined
  let hindsight: Hindsight | undefined
  const unmatched = new Set<string>()
  const recallAndRemember = (seen: Snapshot): Snapshot => {
    const whole = recall(memory, seen)
    memory = remember(whole)
    return whole
  }
  return {
    name,
    policy,
    async sweep(mode, deadline) {
      const order = { target: name, policy, mode, before: churn, recall: recallAndRemember, record }
      const result = await sweep(gate, order, deadline)
      const victims = reapVerdicts(result.verdicts).map(({ session }) => session)
      const condemned = identities(victims)
      const wouldRefuse = result.snapshot.maySignal ? [] : victims.filter(({ owned }) => !owned)
      const newlyCondemned = countNew(condemned, observed)
      const newlyUnmatched = result.report.unmatched.filter((path) => !unmatched.has(path))
      for (const path of newlyUnmatched) unmatched.add(path)
      churn = result.churn
      observed = mode === 'observe' ? condemned : undefined
      // A sweep that reaps ends the sessions themselves, so nothing is left to compare with.
      const back =
        mode === 'observe' ? lookBack(hindsight, result.snapshot, result.verdicts) : undefined
      hindsight = back?.hindsight
      return {
        ...result,
        newlyCondemned,
        wouldRefuse: mode === 'observe' ? wouldRefuse.length : 0,
        newlyUnmatched,
        usedAgain: back?.usedAgain ?? [],
        observed: back?.ended,
      }
    },
    metFullServer: gate.metFullServer,
    close: gate.close,
  }
}
