import { type Churn, countNew, identities } from './core/churn.ts'
import { type Memory, recall, remember } from './core/memory.ts'
import type { Policy } from './core/policy.ts'
import type { Mode } from './core/report.ts'
import type { Snapshot } from './core/session.ts'
import { reapVerdicts } from './core/verdict.ts'
import type { Deadline, Gate } from './postgres/gate.ts'
import { type SweepResult, sweep } from './sweep.ts'

/** A sweep, with what is new in it since the one before. */
export type TargetSweep = SweepResult & {
  /** Sessions with a verdict to reap. */
  condemned: number
  /** Those of them that the sweep before did not have; in mode `observe` the others have stayed. */
  newlyCondemned: number
  /** Paths of the policy that met no session, and of which no earlier sweep has said so. */
  newlyUnmatched: string[]
}

/** One server, and all that is kept of it between its sweeps. */
export type Target = {
  name: string
  policy: Policy
  /** @throws SlotkeeperError; what the look saw is remembered even so */
  sweep(mode: Mode, deadline: Deadline): Promise<TargetSweep>
  /** Whether the last sweep met a full server (53300), let in or not. */
  metFullServer(): boolean
  /** Ends the kept connection. */
  close(): Promise<void>
}

export function createTarget(name: string, policy: Policy, gate: Gate): Target {
  let memory: Memory | undefined
  let churn: Churn | undefined
  let observed: ReadonlySet<string> | undefined
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
      const order = { target: name, policy, mode, before: churn, recall: recallAndRemember }
      const result = await sweep(gate, order, deadline)
      const condemned = identities(reapVerdicts(result.verdicts).map(({ session }) => session))
      const newlyCondemned = countNew(condemned, observed)
      const newlyUnmatched = result.report.unmatched.filter((path) => !unmatched.has(path))
      for (const path of newlyUnmatched) unmatched.add(path)
      churn = result.churn
      observed = mode === 'observe' ? condemned : undefined
      return { ...result, condemned: condemned.size, newlyCondemned, newlyUnmatched }
    },
    metFullServer: gate.metFullServer,
    close: gate.close,
  }
}
