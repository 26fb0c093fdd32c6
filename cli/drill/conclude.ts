import type { Cut } from './comeback.ts'
import type { End } from './process.ts'
import { countSessions, endWords, milliseconds } from './words.ts'

/** What a drill saw. */
export type Facts = {
  cuts: Cut[]
  /** How COMMAND's process ended by itself; NULL if it still ran at the end of the drill. */
  process: End | null
  /** Why the drill ended before all its cuts were made; NULL if all were made. */
  stoppedBecause: string | null
  patienceMs: number
}

export type Conclusion = {
  /** COMMAND still ran at the end of the drill, or had ended with exit code 0 after it came back. */
  lived: boolean
  /** It lived and came back each time, and no cut was left out unless COMMAND had come to its own good end. */
  survived: boolean
  /** The same as a text for people. */
  conclusion: string
}

/** Concludes from what was seen whether COMMAND survived. A drill without any cut shows nothing, so it fails. */
export function conclude(facts: Facts): Conclusion {
  const { cuts, process, stoppedBecause } = facts
  const isBack = cuts.length > 0 && cuts.every(({ cameBackMs }) => cameBackMs !== null)
  const lived = process === null || (process.code === 0 && isBack)
  const survived = lived && isBack && (stoppedBecause === null || process !== null)
  return { lived, survived, conclusion: survived ? praise(facts) : fault(facts) }
}

function praise({ cuts, process }: Facts): string {
  const slowest = milliseconds(Math.max(...cuts.map(({ cameBackMs }) => cameBackMs ?? 0)))
  const back =
    cuts.length === 1 ? `once, after ${slowest}` : `${cuts.length} times, after ${slowest} at most`
  return `It survived: it came back ${back}.${process === null ? '' : ' Then it ended by itself, with exit code 0.'}`
}

function fault({ cuts, process, stoppedBecause, patienceMs }: Facts): string {
  const absent = cuts.find(({ cameBackMs }) => cameBackMs === null)
  if (absent) return absence(absent, patienceMs)
  const last = cuts.at(-1)
  if (process !== null && last) {
    return `It did not survive: it came back, but its process ended later (${endWords(process)}).`
  }
  return `The drill shows nothing${last ? ' more' : ''}: ${stoppedBecause}.`
}

/** Why an application that did not come back did not. */
function absence({ by, process, newSessions }: Cut, patienceMs: number): string {
  const event = by === 'restart' ? 'the server restarted' : 'its sessions ended'
  if (process?.code === 0) {
    return `It did not come back: it ran no query after ${event}, and then its process ended (exit code 0). If its work was done, give it more: COMMAND must work for as long as the drill lasts.`
  }
  if (process !== null) {
    return `It did not survive: its process ended (${endWords(process)}) when ${event}.`
  }
  const within = `within ${milliseconds(patienceMs)} (--patience)`
  return newSessions > 0
    ? `It did not come back: it opened ${countSessions(newSessions, 'new ')}, and ran no query ${within}.`
    : `It did not come back: it opened no session ${within}. Perhaps nobody asked it to: COMMAND must work by itself, or start its own load.`
}
