import type { Controls } from './controls.ts'
import { head } from './head.ts'
import { HELP } from './help.ts'
import type { Picture } from './picture.ts'
import {
  nextSection,
  poolsSection,
  reapsSection,
  type Section,
  sessionsSection,
} from './sections.ts'
import { fitLine, type Line, type Screen } from './text.ts'

const KEYS: Keys = {
  pools: 'q quit  p pause  s sort  up/down choose  enter its sessions  h help',
  sessions: 'q quit  p pause  up/down scroll  esc back  h help',
  help: 'q quit  h back',
}
/** The line of the keys, for each page. */
export type Keys = Record<Controls['page'], string>
/** With fewer rows, the line of the keys gives way. */
const LEAST_FOR_KEYS = 6

/**
 * The whole screen.
 * @param nowMs on the clock of this machine, ms since the epoch
 * @returns at most as many lines as the screen has rows, none wider than its columns
 */
export function view(picture: Picture, controls: Controls, screen: Screen, nowMs: number): Line[] {
  return arrange(head(picture, controls, screen, nowMs), KEYS, picture, controls, screen, nowMs)
}

/** The lines of the head, the page below them, and the keys. */
export function arrange(
  top: Line[],
  keyWords: Keys,
  picture: Picture,
  controls: Controls,
  screen: Screen,
  nowMs: number,
): Line[] {
  const hasKeys = screen.rows >= LEAST_FOR_KEYS
  const room = Math.max(0, screen.rows - top.length - (hasKeys ? 1 : 0))
  const middle = body(picture, controls, screen, nowMs, room).slice(0, room)
  const blank = Array<Line>(hasKeys ? room - middle.length : 0).fill([])
  const keys: Line[] = hasKeys ? [[{ text: keyWords[controls.page], style: 'dim' }]] : []
  return [...top, ...middle, ...blank, ...keys]
    .slice(0, screen.rows)
    .map((line) => fitLine(line, screen))
}

function body(
  picture: Picture,
  controls: Controls,
  screen: Screen,
  nowMs: number,
  room: number,
): Line[] {
  if (controls.page === 'help') return HELP.map((text) => [{ text }])
  const { sight, lost } = picture
  if (!sight) return [[{ text: `Connecting to ${picture.target} …` }]]
  // An old picture stands still: what has happened since is not known.
  const elapsed = lost || controls.paused ? 0 : Math.max(0, (nowMs - sight.atMs) / 1000)
  const sections =
    controls.page === 'sessions'
      ? [sessionsSection(sight, controls, screen, elapsed)]
      : [
          poolsSection(sight, controls, screen, elapsed),
          nextSection({ ...picture, sight }, screen, elapsed),
          reapsSection(picture, screen),
        ]
  const lines = stack(sections, room)
  return lost ? lines.map(dimmed) : lines
}

/** Each section is drawn below a blank line, or not at all if no row but its title would be left. */
function stack(sections: Section[], room: number): Line[] {
  const rows = allot(
    room,
    sections.map(({ wants }) => wants + 1),
  )
  return sections.flatMap((section, index): Line[] => {
    const height = (rows[index] ?? 0) - 1
    return height < 1 ? [] : [[], ...section.lines(height).slice(0, height)]
  })
}

/** Shares the rows: none gets more than it wants, and the first half of what is scarce is for the first. */
export function allot(room: number, wants: number[]): number[] {
  const given = wants.map(() => 0)
  let left = room
  // One row at a time. The first section is served twice as often as each of the others.
  while (left > 0 && wants.some((want, index) => (given[index] ?? 0) < want)) {
    for (const index of [0, ...wants.keys()]) {
      if (left === 0 || (given[index] ?? 0) >= (wants[index] ?? 0)) continue
      given[index] = (given[index] ?? 0) + 1
      left -= 1
    }
  }
  return given
}

function dimmed(line: Line): Line {
  return line.map(({ text }) => ({ text, style: 'dim' }))
}
