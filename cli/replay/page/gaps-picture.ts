import type { Fate, Histogram } from '../result.ts'
import { type Bar, placeOf, type Span } from './bars.ts'
import { svg } from './dom.ts'
import { duration, letter, number } from './format.ts'

/** A line at an idle time, with what is said of it. */
export type Line = {
  seconds: number
  text: string
  /** The place of the policy that it belongs to. Without it, the line is the safe age. */
  policy?: number
  /** Whether each session that is idle for so long meets the rule. */
  isLimit: boolean
}

export type GapsPicture = { bars: Bar[]; lines: Line[]; edges: readonly number[]; span: Span }

/** From above to below: what a policy must not end comes first. */
const LANES: [Fate, string][] = [
  ['used', 'used again'],
  ['ended', 'ended unused'],
  ['undecided', 'undecided'],
]
const TICKS = [
  0.01, 0.1, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200,
  86_400, 259_200, 604_800, 2_592_000,
]

const LEFT = 34
const RIGHT = 8
const LINE_ROW = 16
const LANE = 62
const LANE_HEAD = 17
const AXIS = 34
/** The least distance between two words of the axis, px. */
const TICK_ROOM = 34

/**
 * Draws the gaps of one pool: a lane for each fate above a common scale of time, and each limit as a line through
 * all lanes. The scales of time and of counts are logarithmic: three gaps among a thousand must be seen.
 */
export function gapsPicture({ bars, lines, edges, span }: GapsPicture, width: number): SVGElement {
  const top = lines.length * LINE_ROW + 4
  const bottom = top + LANES.length * LANE
  const height = bottom + AXIS
  const step = (width - LEFT - RIGHT) / bars.length
  const xOf = (seconds: number) => LEFT + placeOf(seconds, edges, span) * step
  const most = Math.max(1, ...bars.flatMap((bar) => LANES.map(([fate]) => bar[fate])))
  const limit = Math.min(...lines.filter(({ isLimit }) => isLimit).map(({ seconds }) => seconds))
  const isRegret = ({ from }: Bar) => from >= limit
  const picture = svg('svg', { viewBox: `0 0 ${width} ${height}`, width, height, class: 'gaps' })
  for (const [index, [fate, name]] of LANES.entries()) {
    const lane = { fate, name, bars, most, step, top: top + index * LANE, width, isRegret }
    picture.append(laneOf(lane))
  }
  picture.append(axisOf(xOf, bars, { y: bottom, width }))
  // Words are above all lines.
  for (const part of [limitLine, limitWords]) {
    for (const [row, line] of lines.entries()) {
      const place = { x: xOf(line.seconds), y: row * LINE_ROW, bottom, width }
      picture.append(svg('g', { class: classOf(line) }, part(line, place)))
    }
  }
  for (const [index, [fate, name]] of LANES.entries()) {
    const total = bars.reduce((sum, bar) => sum + bar[fate], 0)
    const place = { x: LEFT, y: top + index * LANE + 12, class: 'name' }
    picture.append(svg('text', place, `${name}: ${number(total)}`))
  }
  return picture
}

type Lane = {
  fate: Fate
  name: string
  bars: Bar[]
  most: number
  step: number
  top: number
  width: number
  isRegret: (bar: Bar) => boolean
}

function laneOf({ fate, name, bars, most, step, top, width, isRegret }: Lane): SVGElement {
  const bottom = top + LANE
  const heightOf = (count: number) =>
    count === 0 ? 0 : ((LANE - LANE_HEAD) * Math.log2(1 + count)) / Math.log2(1 + most)
  const lane = svg('g', { class: `lane ${fate}` })
  for (const count of scaleOf(most)) {
    const y = bottom - heightOf(count)
    lane.append(
      svg('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      svg('text', { x: LEFT - 4, y: y + 3, class: 'small end' }, number(count)),
    )
  }
  for (const [place, bar] of bars.entries()) {
    const count = bar[fate]
    if (count === 0) continue
    const height = heightOf(count)
    const x = LEFT + place * step
    lane.append(
      svg(
        'rect',
        {
          x: x + 0.5,
          y: bottom - height,
          width: Math.max(1, step - 1),
          height,
          class: isRegret(bar) ? 'bar regret' : 'bar',
        },
        svg('title', {}, `${nameOf(bar)}: ${number(count)} ${name}`),
      ),
    )
  }
  lane.append(svg('line', { class: 'base', x1: LEFT, x2: width - RIGHT, y1: bottom, y2: bottom }))
  return lane
}

/** The counts at which a lane has a line: 1, and the greatest power of ten. */
function scaleOf(most: number): number[] {
  const power = 10 ** Math.floor(Math.log10(most))
  return power > 1 ? [1, power] : [1]
}

function axisOf(
  xOf: (seconds: number) => number,
  bars: Bar[],
  { y, width }: { y: number; width: number },
): SVGElement {
  const axis = svg('g', { class: 'axis' })
  const last = bars.at(-1)?.from ?? 0
  let free = LEFT
  for (const seconds of TICKS) {
    const x = xOf(seconds)
    if (seconds > last || seconds < (bars[1]?.from ?? 0) || x < free || x > width - RIGHT - 8)
      continue
    free = x + TICK_ROOM
    axis.append(
      svg('line', { x1: x, x2: x, y1: y, y2: y + 4, class: 'base' }),
      svg('text', { x, y: y + 15, class: 'small middle' }, duration(seconds)),
    )
  }
  axis.append(
    svg(
      'text',
      { x: (LEFT + width) / 2, y: y + 30, class: 'small middle' },
      'idle until used again, or until the end',
    ),
  )
  return axis
}

type Place = { x: number; y: number; bottom: number; width: number }

const classOf = ({ policy }: Line) =>
  `limit ${policy === undefined ? 'safe' : `policy-${policy % 6}`}`

const limitLine = (_: Line, { x, y, bottom }: Place) =>
  svg('line', { x1: x, x2: x, y1: y, y2: bottom })

function limitWords({ text }: Line, { x, y, width }: Place): SVGElement {
  const isLeft = x > width / 2
  return svg(
    'text',
    { x: isLeft ? x - 5 : x + 5, y: y + 12, class: isLeft ? 'end' : 'start' },
    text,
  )
}

/**
 * Makes the hatching of the bars of gaps that ended unused, so that they differ without colour as well. All pictures
 * of a page share it.
 */
export function hatching(): SVGElement {
  const pattern = svg(
    'pattern',
    {
      id: 'hatch',
      width: 5,
      height: 5,
      patternUnits: 'userSpaceOnUse',
      patternTransform: 'rotate(45)',
    },
    svg('rect', { width: 5, height: 5, class: 'hatch-ground' }),
    svg('line', { x1: 1, x2: 1, y1: 0, y2: 5, class: 'hatch-line' }),
  )
  return svg('svg', { width: 0, height: 0, 'aria-hidden': 'true', class: 'hidden' }, pattern)
}

const nameOf = ({ from, to }: Bar) =>
  to === undefined
    ? `idle ${duration(from)} or longer`
    : `idle ${duration(from)} to ${duration(to)}`

/** What is written at the limit of a policy's rule. */
export function limitText(
  { seconds, conditional }: Histogram['limits'][number],
  policy: number,
  [least, most]: [number, number],
): string {
  const gaps = least === most ? number(least) : `${number(least)} to ${number(most)}`
  const sometimes = conditional ? ', at times' : ''
  return `${letter(policy)} ${duration(seconds)}${sometimes}: ${gaps} used again`
}
