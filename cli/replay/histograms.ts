import type { Rule } from '../../lambda/core/policy.ts'
import type { Pool } from '../../lambda/core/pool.ts'
import type { Session } from '../../lambda/core/session.ts'
import { compileMatches } from '../../lambda/core/standing.ts'
import type { PoolHistory } from './history.ts'
import { LADDER } from './ladder.ts'
import type { Histogram, Histograms } from './result.ts'
import type { NamedPolicy } from './simulation.ts'

/** The gaps of pools by their length, with the limits that policies set for them. */
export function drawHistograms(
  histories: PoolHistory[],
  policies: NamedPolicy[],
  serverVersion: number,
): Histograms {
  const rulesOf = policies.map(({ name, policy }) => {
    const standingOf = compileMatches(policy, serverVersion)
    return (pool: Pool) => {
      // A match looks at the fields of a pool only.
      const { inScope, protector, rules } = standingOf(pool as Session)
      return inScope && protector === undefined ? rules.filter(isForIdle).map(limitOf(name)) : []
    }
  })
  const pools = histories.map(({ pool, gaps }) => ({
    ...pool,
    used: filled(gaps.used),
    ended: filled(gaps.ended),
    undecided: filled(gaps.undecided),
    limits: rulesOf.flatMap((limitsOf) => limitsOf(pool)),
  }))
  return { edges: LADDER, pools }
}

const isForIdle = ({ state }: Rule) => state === 'idle'

const limitOf =
  (policy: string) =>
  (rule: Rule): Histogram['limits'][number] => ({
    policy,
    rule: rule.name,
    seconds: rule.olderThan,
    conditional: rule.when !== undefined,
  })

/** With 0 in each place that has no number, up to the last one that has. */
function filled(counts: number[]): number[] {
  return Array.from(counts, (count = 0) => count)
}
