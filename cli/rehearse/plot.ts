import { paint } from '../show.ts'

/** The slots in use at one moment of the rehearsal, `atMs` after its start. */
export type Sample = { atMs: number; used: number }
export type Mark = { atMs: number; sign: string }

const WIDTH = 72
const HEIGHT = 10

/**
 * Draws the slots in use over time. Each column is a slice of time, with `#` up to the most slots used
 * in it. A line shows the limit for ordinary roles, and the marks of events are below.
 */
export function plotSlots(samples: Sample[], marks: Mark[], max: number, usable: number): string {
  const endMs = Math.max(1, ...samples.map(({ atMs }) => atMs), ...marks.map(({ atMs }) => atMs))
  const column = (atMs: number) => Math.min(WIDTH - 1, Math.floor((atMs / endMs) * WIDTH))
  const peaks = Array.from({ length: WIDTH }, () => -1)
  for (const { atMs, used } of samples) {
    const at = column(atMs)
    peaks[at] = Math.max(peaks[at] ?? -1, used)
  }
  // A slice without a sample repeats the one before it.
  const filled = peaks.map((peak, at) =>
    peak >= 0 ? peak : (peaks.slice(0, at).findLast((p) => p >= 0) ?? 0),
  )

  const lines: string[] = []
  for (let row = HEIGHT; row >= 1; row--) {
    const level = (row / HEIGHT) * max
    const below = ((row - 1) / HEIGHT) * max
    const isLimit = usable > below && usable <= level
    const label = isLimit
      ? String(usable).padStart(4)
      : row === HEIGHT / 2
        ? String(max / 2).padStart(4)
        : '    '
    const cells = filled.map((used) => {
      if (used > below) return paint(used >= usable ? 'red' : 'green', '#')
      return isLimit ? paint('dim', '-') : ' '
    })
    lines.push(`${label} |${cells.join('')}${isLimit ? ' limit for ordinary roles' : ''}`)
  }
  const signs = Array.from({ length: WIDTH }, () => ' ')
  for (const { atMs, sign } of marks) signs[column(atMs)] = sign
  lines.push(`   0 +${'-'.repeat(WIDTH)}`)
  lines.push(`      ${paint('bold', signs.join('').trimEnd())}`)
  lines.push(`      0 s${`${Math.round(endMs / 1000)} s`.padStart(WIDTH - 3)}`)
  return lines.join('\n')
}
