import { age } from '../show.ts'
import type { Cadence } from './intervals.ts'
import { instant } from './rounding.ts'

const DAY_SECONDS = 86_400

/** Less than the minute between two sweeps of the function, which is not exact. */
const SWEEP_SECONDS = 50

/** What a recording has, or lacks, that its reader must know. */
export type Facts = {
  /** How many are replayed. */
  policies: number
  snapshots: number
  seconds: number
  cadence: Cadence
  /** Sessions that Slotkeeper ended while this was recorded. */
  reapedWhileRecording: number
  /** Snapshots in which nobody looked which sessions hold advisory locks and replication slots. */
  withoutHolders: number
}

/** What the recording can't know, in sentences for people, the most particular first. */
export function caveats(facts: Facts): string[] {
  const { policies, snapshots, seconds, cadence, reapedWhileRecording, withoutHolders } = facts
  const { usual, missing } = cadence
  return [
    ...(missing
      ? [
          `Snapshots are missing: ${minutes(missing.minutes)} in ${times(missing.count, 'period')}, the longest from ${instant(missing.longest.fromMs)} to ${instant(missing.longest.toMs)}. What happened then is not known, and counts for no longest gap.`,
        ]
      : []),
    ...(reapedWhileRecording > 0
      ? [
          `Slotkeeper ended ${times(reapedWhileRecording, 'session')} while this was recorded. Whether they would have been used again is not known. A policy that would have spared them looks as if it freed their slots too.`,
        ]
      : []),
    ...(withoutHolders > 0
      ? [
          `In ${withoutHolders} of ${times(snapshots, 'snapshot')}, nobody looked which sessions hold advisory locks or replication slots. The replay takes these sessions for ordinary ones; a sweep would spare them.`,
        ]
      : []),
    ...(seconds < DAY_SECONDS
      ? [
          `The recording is ${age(seconds)} long. What comes back once a day or once a week is not in it.`,
        ]
      : []),
    ...(policies > 0 && usual > 0 && usual < SWEEP_SECONDS
      ? [
          `The replay sweeps at each snapshot, so each ${interval(usual)}. The function sweeps once a minute: it ends sessions later, and with a budget or \`keep\` other ones.`,
        ]
      : []),
    `Between two snapshots${usual > 0 ? ` (${interval(usual)} apart)` : ''} nothing is known: a shorter gap is not seen, nor a session that was used once more and then closed.`,
    'An application can open a new session instead of an idle one that it lost. The replay counts a slot again only for a session that was used again in the recording.',
  ]
}

const times = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
const minutes = (value: number) => times(Math.round(value * 10) / 10, 'minute')
const interval = (seconds: number) => (seconds < 1 ? `${seconds * 1000} ms` : age(seconds))
