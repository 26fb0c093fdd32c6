import { poolFields } from '../../lambda/core/pool.ts'
import type { Closed, PoolHistory, Reap } from './history.ts'
import { type Counts, MOST_LISTED, type PolicyResult, type Regret } from './result.ts'
import { instant, tenthDown, tenthUp } from './rounding.ts'

const HOURS = 24

/** The reaps of one rule in one pool. */
type Row = Counts & { hours: number[] }

type Result = Pick<PolicyResult, keyof Counts | 'byRule' | 'byPool' | 'byHour' | 'regrets'>

/** Counts the reaps of one policy, and what became of them, by rule, pool and hour of the day. */
export function createTally() {
  const total = none()
  const pools = new Map<PoolHistory, Map<string, Row>>()
  const hours = Array.from({ length: HOURS }, none)
  const regrets: { atMs: number; regret: Regret }[] = []

  const rowOf = (pool: PoolHistory, rule: string): Row => {
    const rows = pools.get(pool) ?? new Map<string, Row>()
    const row = rows.get(rule) ?? { ...none(), hours: Array<number>(HOURS).fill(0) }
    pools.set(pool, rows.set(rule, row))
    return row
  }

  const add = ({ rule, atMs }: Reap, pool: PoolHistory, key: keyof Counts): void => {
    const row = rowOf(pool, rule)
    const hour = new Date(atMs).getUTCHours()
    total[key] += 1
    row[key] += 1
    ;(hours[hour] as Counts)[key] += 1
    if (key === 'wouldReap') row.hours[hour] = (row.hours[hour] ?? 0) + 1
  }

  return {
    reap(reap: Reap, pool: PoolHistory): void {
      add(reap, pool, 'wouldReap')
    },

    close(reap: Reap, { stretch: { pool, session }, fate, bounds: [least, most] }: Closed): void {
      if (fate === 'ended') return
      add(reap, pool, fate === 'used' ? 'regretted' : 'undecided')
      if (fate !== 'used' || regrets.length >= MOST_LISTED) return
      const { rule, atMs } = reap
      const regret: Regret = {
        pid: session.pid,
        ...poolFields(session),
        rule,
        at: instant(atMs),
        idleSeconds: [tenthDown(least), tenthUp(most)],
      }
      regrets.push({ atMs, regret })
    },

    /** @param names the rules of the policy, which are named even if they reaped nothing */
    result(names: string[]): Result {
      const byPool = [...pools].flatMap(([{ pool }, rows]) =>
        [...rows].map(([rule, row]) => ({ ...pool, rule, ...row })),
      )
      return {
        ...total,
        byRule: countRules(names, byPool),
        byPool: byPool.sort((a, b) => b.regretted - a.regretted || b.wouldReap - a.wouldReap),
        byHour: hours
          .map((counts, hour) => ({ hour, ...counts }))
          .filter(({ wouldReap }) => wouldReap > 0),
        regrets: regrets.sort((a, b) => a.atMs - b.atMs).map(({ regret }) => regret),
      }
    },
  }
}

const none = (): Counts => ({ wouldReap: 0, regretted: 0, undecided: 0 })

function countRules(names: string[], rows: PolicyResult['byPool']): Record<string, number> {
  const counts = new Map(names.map((name) => [name, 0]))
  for (const { rule, wouldReap } of rows) counts.set(rule, (counts.get(rule) ?? 0) + wouldReap)
  return Object.fromEntries(counts)
}
