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
      decline(first.reaped, second, 1, atMs)
      decline(second.reaped, first, 0, atMs)
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

/** Notes what the policy at `index` says of sessions that the other one reaps. */
function decline(reaped: Stretch[], { verdicts }: Simulated, index: number, atMs: number): void {
  const undecided = reaped.filter(({ reaps }) => reaps[index] === undefined)
  if (undecided.length === 0) return
  const whyOf = new Map(verdicts.map(({ session, why }) => [session.pid, why]))
  for (const stretch of undecided) {
    stretch.declined[index] ??= { atMs, why: whyOf.get(stretch.session.pid) ?? '' }
  }
}

function opinion(reap: Reap | undefined, declined: Declined | undefined): Opinion {
  const { atMs, why } = (reap ?? declined) as Declined
  return { reaps: reap !== undefined, at: instant(atMs), why }
}
