import { styleText } from 'node:util'
import type { Report } from '../lambda/core/report.ts'
import { printable } from '../lambda/core/text.ts'
import { greatest } from './causes.ts'

export type Style = Parameters<typeof styleText>[0]

const colourful =
  !process.env.NO_COLOR && (process.env.FORCE_COLOR !== undefined || process.stdout.isTTY === true)

/** Adds colour on a terminal, and none in a file or a pipe. */
export function paint(style: Style, text: string): string {
  return colourful ? styleText(style, text) : text
}

export function writeOut(text: string): void {
  process.stdout.write(`${text}\n`)
}

/**
 * Formats rows under a head. Each column is as wide as its widest cell. Every cell is made printable, so
 * that a name from the server can't drive the terminal.
 * @param head the names of the columns; `>` before a name aligns its column to the right
 */
export function table(head: string[], rows: string[][]): string {
  const isRight = head.map((name) => name.startsWith('>'))
  const names = head.map((name) => name.replace(/^>/, ''))
  const cells = [names, ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => greatest(cells.map((row) => row[column]?.length ?? 0)))
  const pad = (cell: string, column: number) =>
    isRight[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
  const lines = cells.map((row) => row.map(pad).join('  ').trimEnd())
  return [paint('bold', lines[0] ?? ''), ...lines.slice(1)].join('\n')
}

const UNITS: [string, number][] = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
]

/** A duration in its two greatest units: `1h 30m`, `12s`. */
export function age(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const first = UNITS.findIndex(([, size]) => whole >= size)
  const parts = UNITS.slice(first, first + 2).map(([unit, size], index) => {
    const above = index === 0 ? Number.POSITIVE_INFINITY : (UNITS[first]?.[1] ?? 1)
    return [Math.floor((whole % above) / size), unit] as const
  })
  return first < 0
    ? '0s'
    : parts
        .filter(([count]) => count > 0)
        .map(([count, unit]) => `${count}${unit}`)
        .join(' ')
}

/** An instant of the server's clock in UTC: the time today, or the date and the time on another day. */
export function clock(epochSeconds: number, nowMs: number): string {
  const [day = '', time = ''] = new Date(epochSeconds * 1000).toISOString().split('T')
  const isToday = new Date(nowMs).toISOString().startsWith(day)
  return isToday ? time.slice(0, 8) : `${day.slice(5)} ${time.slice(0, 5)}`
}

/** A bar of `width` characters: used slots, free slots, and the reserve. */
export function slotsBar(slots: Report['slots'], width: number): string {
  const { used, free, reserve, style } = slotsBarParts(slots, width)
  return paint(style, used) + free + paint('dim', reserve)
}

/** The parts of a bar of `width` characters, and the colour of the used slots. */
export function slotsBarParts({ max, reserved, used }: Report['slots'], width: number) {
  const usable = max - reserved
  const scale = (slots: number) => Math.round((slots / max) * width)
  const filled = Math.min(scale(used), width)
  const free = Math.max(0, scale(usable) - filled)
  const reserve = width - filled - free
  const share = used / usable
  const style: Style = share >= 1 ? 'red' : share > 0.8 ? 'yellow' : 'green'
  return { used: '#'.repeat(filled), free: '.'.repeat(free), reserve: 'r'.repeat(reserve), style }
}

export const entryWords = {
  warm: 'over the connection of the last sweep',
  client: 'as an ordinary client',
  walsender: "through a walsender's slot",
}
