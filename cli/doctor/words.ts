import type { Session } from '../../lambda/core/session.ts'
import { age } from '../show.ts'
import type { Fleet } from './case.ts'
import type { FindingPool } from './diagnosis.ts'
import { FRAMEWORK_NAMES } from './recognise.ts'

/** A count with its noun: `1 session`, `2 sessions`. */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`
}

/** A fleet in a sentence: `shop_app@shop "php" on 10.0.1.7`. */
export function nameOf({ pool, clients, applications }: Fleet): string {
  const { application, client } = pool
  const named =
    application === null
      ? ` (${plural(applications, 'application')})`
      : application === ''
        ? ''
        : ` "${application}"`
  const from = client === null ? ` from ${plural(clients, 'client')}` : ''
  return `${ownerOf(pool)}${named}${from}`
}

export function ownerOf({ user, database }: Pick<FindingPool, 'user' | 'database'>): string {
  return `${user ?? '-'}@${database ?? '-'}`
}

export function ago(seconds: number | null): string {
  return seconds === null ? '-' : age(Math.round(seconds))
}

export function round(value: number, digits = 1): number {
  const factor = 10 ** digits
  return Math.round(value * factor) / factor
}

const STEPS: [seconds: number, written: string][] = [
  [60, '1min'],
  [120, '2min'],
  [300, '5min'],
  [600, '10min'],
  [900, '15min'],
]

/** The least step that is not under a time, as PostgreSQL and a policy write it. Undefined if it is over 15 min. */
export function stepAbove(seconds: number): [seconds: number, written: string] | undefined {
  return STEPS.find(([step]) => step >= seconds)
}

/** The greatest step that is not over a time; the least one if it is shorter. */
export function stepBelow(seconds: number): [seconds: number, written: string] {
  return STEPS.findLast(([step]) => step <= seconds) ?? (STEPS[0] as (typeof STEPS)[number])
}

/** The most sessions that a look saw at work. */
export function atWork(peakBusy: number): string {
  return peakBusy === 0 ? 'none was seen at work' : `at most ${peakBusy} at work at once`
}

/** One session in a sentence: `pid 123 of shop_app@shop "php"`. */
export function sessionName(session: Session): string {
  const { pid, application } = session
  return `pid ${pid} of ${ownerOf(session)}${application === '' ? '' : ` "${application}"`}`
}

/** What opened a fleet's sessions, in brackets. Empty if nothing shows it. */
export function probably({ recognised: { framework } }: Fleet): string {
  return framework === undefined ? '' : ` (probably ${FRAMEWORK_NAMES[framework]})`
}
