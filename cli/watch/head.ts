import { basename } from 'node:path'
import { notices } from '../../lambda/notices.ts'
import { age, clock, slotsBarParts } from '../show.ts'
import type { Controls } from './controls.ts'
import { HISTORY_MS, type Picture, type Sample, type Sight } from './picture.ts'
import { type Line, type Screen, wrap } from './text.ts'

const LEVELS = { unicode: '▁▂▃▄▅▆▇█', ascii: '_.-=+*%#' }
const LEAST_BAR = 10
const MOST_BAR = 60
/** What stands beside the bar. */
const BESIDE = 42
/** The lines of one alarm. What does not fit is in the output of `sweep`. */
const MOST_LINES = 4

/** The lines above the tables: what is watched, the slots, the last minutes, and what is wrong. */
export function head(picture: Picture, controls: Controls, screen: Screen, nowMs: number): Line[] {
  const { sight } = picture
  return [
    title(picture),
    ...(sight ? [slotsLine(sight, screen), historyLine(picture, sight, screen, nowMs)] : []),
    ...banners(picture, controls, screen, nowMs),
  ]
}

export function title({ target, mode, policyName, everyMs, sight }: Picture): Line {
  const at = sight ? `${utc(sight.snapshot.atMs)}, ` : ''
  const version = sight?.report.server.version
  const release =
    version === undefined ? '' : `, PostgreSQL ${Math.floor(version / 10000)}.${version % 10000}`
  const isReaping = mode === 'reap'
  return [
    { text: isReaping ? 'REAPS' : 'observes', style: isReaping ? 'red' : 'green' },
    { text: ' ' },
    { text: target, style: 'bold' },
    { text: `  ${at}every ${everyMs / 1000}s${release}, policy ${basename(policyName)}` },
  ]
}

function slotsLine({ report: { slots } }: Sight, screen: Screen): Line {
  const parts = slotsBarParts(slots, barWidth(screen))
  return [
    { text: parts.used, style: parts.style },
    { text: parts.free },
    { text: parts.reserve, style: 'dim' },
    { text: ` ${slots.usedPercent} %`, style: parts.style },
    {
      text: `: ${slots.used} of ${slots.max - slots.reserved} slots (+ ${slots.reserved} reserved)`,
    },
  ]
}

export function historyLine(
  { history }: Picture,
  { report: { sessions } }: Sight,
  screen: Screen,
  nowMs: number,
): Line {
  const levels = screen.unicode ? LEVELS.unicode : LEVELS.ascii
  const counted: [number, string][] = [
    [sessions.idle, 'idle'],
    [sessions.active, 'active'],
    [sessions.idleInTransaction + sessions.idleInTransactionAborted, 'in tx'],
    [sessions.other, 'other'],
  ]
  const states = counted.filter(([count]) => count > 0).map(([count, state]) => `${count} ${state}`)
  return [
    { text: sparkline(history, nowMs, barWidth(screen), levels) },
    { text: ` ${HISTORY_MS / 60_000} min`, style: 'dim' },
    { text: `  ${states.join(', ')}` },
  ]
}

function barWidth({ columns }: Screen): number {
  return Math.max(LEAST_BAR, Math.min(MOST_BAR, columns - BESIDE))
}

/**
 * The used slots over the last minutes, the newest at the right. A column is the most that was used in its time, as a
 * share of the slots for ordinary roles. A column without a look is blank.
 */
export function sparkline(history: Sample[], nowMs: number, width: number, levels: string): string {
  const shares = Array<number | undefined>(width).fill(undefined)
  for (const { atMs, used, usable } of history) {
    const column = width - 1 - Math.floor(((nowMs - atMs) / HISTORY_MS) * width)
    if (column < 0 || column >= width) continue
    const share = usable > 0 ? Math.min(1, used / usable) : 1
    shares[column] = Math.max(shares[column] ?? 0, share)
  }
  const most = levels.length - 1
  // Only a full server has the highest level.
  return shares
    .map((share) => (share === undefined ? ' ' : levels[Math.floor(share * most)]))
    .join('')
}

/** What a person must know before reading on. */
export function banners(
  { sight, lost, policy }: Picture,
  controls: Controls,
  screen: Screen,
  nowMs: number,
): Line[] {
  const lines: Line[] = []
  const alarm = (text: string) => {
    for (const line of wrap(text, screen, MOST_LINES)) lines.push([{ text: line, style: 'red' }])
  }
  if (lost) {
    const since = `LOOKS FAIL since ${utc(lost.sinceMs)} (${age((nowMs - lost.sinceMs) / 1000)})`
    alarm(`${since}; tries again. ${sight ? 'This picture is old. ' : ''}${lost.message}`)
  }
  if (controls.ending) {
    const text = 'ENDING: waits for the sweep under way, to say what it did. q again ends at once.'
    lines.push([{ text, style: 'yellow' }])
  }
  if (controls.paused) {
    const text = 'PAUSED: no further look is taken, and no slot is held. p goes on.'
    lines.push([{ text, style: 'yellow' }])
  }
  if (!sight) return lines
  const { entry, slots } = sight.report
  if (entry === 'walsender') {
    alarm("FULL: no slot is left. Looks come in by a walsender's slot, closed at once.")
  } else if (slots.available === 0) {
    alarm('FULL: no slot is left for ordinary roles.')
  }
  for (const { why } of notices(sight.snapshot, policy, sight.report)) alarm(`WARNING: ${why}`)
  return lines
}

/** An instant of either clock, as the time of the day in UTC. */
export function utc(ms: number): string {
  return `${clock(ms / 1000, ms)} UTC`
}
