import { poolFields } from '../../lambda/core/pool.ts'
import type { Closed, Declined, Reap, Stretch } from './history.ts'
import { type Difference, type Different, MOST_LISTED, type Opinion } from './result.ts'
import { instant } from './rounding.ts'
import type { Simulated } from './simulation.ts'

/** Compares the reaps of two policies. */
export function createDifference() {
  let both = 0
  let onlyFirst = 0
  let onlySecond = 0
  const alone: Different[] = []
  const shared: Different[] = []

  return {
    /** Notes what each policy says of the sessions that the other one reaps in this snapshot. */
    note(first: Simulated, second: Simulated, atMs: number): void {
      decline(first, 0, atMs)
      decline(second, 1, atMs)
    },

    close({ stretch, fate }: Closed): void {
      const [first, second] = stretch.reaps
      if (first && second) both += 1
      else if (first) onlyFirst += 1
      else if (second) onlySecond += 1
      else return
      const list = first && second ? shared : alone
      if (list.length >= MOST_LISTED) return
      const { session } = stretch
      list.push({
        pid: session.pid,
        ...poolFields(session),
        first: opinion(first, stretch.declined[0]),
        second: opinion(second, stretch.declined[1]),
        fate,
      })
    },

    result(): Difference {
      const sessions = [...alone, ...shared].slice(0, MOST_LISTED)
      return { both, onlyFirst, onlySecond, sessions }
    },
  }
}

/**
 * Notes what the policy at `index` says of sessions that the other one reaps, or reaped before: the first word of
 * it, or that it spares the session.
 */
function decline({ present, verdicts }: Simulated, index: number, atMs: number): void {
  for (const [place, { verdict, why }] of verdicts.entries()) {
    const { reaps, declined } = present[place] as Stretch
    if (reaps[index] !== undefined || reaps[1 - index] === undefined) continue
    const spares = verdict === 'spare'
    const last = declined[index]
    if (last === undefined || (spares && !last.spares)) declined[index] = { atMs, why, spares }
  }
}

function opinion(reap: Reap | undefined, declined: Declined | undefined): Opinion {
  const { atMs, why } = (reap ?? declined) as Declined
  return { reaps: reap !== undefined, at: instant(atMs), why }
}
