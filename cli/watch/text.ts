import stringWidth from 'string-width'
import { printable } from '../../lambda/core/text.ts'
import type { Style } from '../show.ts'

/** A piece of a line. Its style is applied last, so that it has no width. */
export type Span = { text: string; style?: Style }
export type Line = Span[]

/** What the terminal can show. */
export type Screen = {
  columns: number
  rows: number
  /** Whether it is told to show UTF-8. */
  unicode: boolean
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** The number of columns that a text takes on a terminal. */
export const widthOf = stringWidth

export function ellipsis(unicode: boolean): string {
  return unicode ? '…' : '~'
}

/** Cuts a text that is wider than `width` columns, between two characters as a person sees them. */
export function cut(text: string, width: number, more: string): string {
  if (widthOf(text) <= width) return text
  if (width < 1) return ''
  let kept = ''
  let used = 0
  for (const { segment } of graphemes.segment(text)) {
    used += widthOf(segment)
    if (used > width - 1) break
    kept += segment
  }
  return kept + more
}

/** Breaks a text between words. The last of at most `most` lines is cut. */
export function wrap(text: string, { columns, unicode }: Screen, most: number): string[] {
  const lines: string[] = []
  for (const word of printable(text).split(' ')) {
    const longer = `${lines.at(-1)} ${word}`
    const fits = lines.length > 0 && (lines.length === most || widthOf(longer) <= columns)
    if (fits) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.map((line) => cut(line, columns, ellipsis(unicode)))
}

export function pad(text: string, width: number, isRight: boolean): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)))
  return isRight ? space + text : text + space
}

/** Makes a line printable, and cuts it to the width of the screen. */
export function fitLine(line: Line, { columns, unicode }: Screen): Line {
  const fitted: Line = []
  let left = columns
  for (const { text, ...style } of line) {
    const shown = cut(printable(text), left, ellipsis(unicode))
    if (shown !== '') fitted.push({ text: shown, ...style })
    left -= widthOf(shown)
    if (shown !== printable(text)) break
  }
  return fitted
}

/**
 * Formats rows under a head, in at most `width` columns. The widest of the columns that may shrink gives way.
 * @param head the names of the columns; `>` aligns to the right, `~` may shrink
 */
export function columns(
  head: string[],
  rows: string[][],
  { columns: width, unicode }: Screen,
): string[] {
  const names = head.map((name) => name.replace(/^[>~]/, ''))
  const cells = [names, ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) =>
    cells.reduce((widest, row) => Math.max(widest, widthOf(row[column] ?? '')), 0),
  )
  const gap = width < NARROW ? ' ' : '  '
  shrink(widths, head, width - gap.length * (head.length - 1))
  return cells.map((row) =>
    row
      .map((cell, column) => {
        const size = widths[column] ?? 0
        return pad(cut(cell, size, ellipsis(unicode)), size, head[column]?.startsWith('>') ?? false)
      })
      .join(gap)
      .trimEnd(),
  )
}

/** On a narrower screen one space parts the columns. */
const NARROW = 100
const LEAST_WIDTH = 4

function shrink(widths: number[], head: string[], width: number): void {
  const elastic = head.flatMap((name, column) => (name.startsWith('~') ? [column] : []))
  const total = () => widths.reduce((sum, size) => sum + size, 0)
  while (total() > width) {
    const widest = elastic.reduce(
      (a, b) => ((widths[b] ?? 0) > (widths[a] ?? 0) ? b : a),
      elastic[0] ?? 0,
    )
    if ((widths[widest] ?? 0) <= LEAST_WIDTH) return
    widths[widest] = (widths[widest] ?? 0) - 1
  }
}
