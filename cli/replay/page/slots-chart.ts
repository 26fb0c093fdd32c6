import uPlot from 'uplot'
import type { Point } from '../result.ts'
import { letter } from './format.ts'

/** One curve over time. `look` is its class in the style sheet. */
export type Curve = { name: string; look: string; of: (point: Point) => number }

const HEIGHT = 300
const ENDS_HEIGHT = 84
/** Where no snapshot was taken for so many times the usual distance of points, the curves have a gap. */
const GAP = 3
const SYNC = 'time'

const DASHES: Record<string, number[]> = {
  usable: [2, 4],
  'policy-0': [10, 4],
  'policy-1': [4, 3],
  'policy-2': [12, 3, 2, 3],
  'policy-3': [6, 6],
  'policy-4': [2, 2],
  'policy-5': [14, 6],
}

const colour = (name: string) => () =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

/** Draws the curves in `target`, and calls `moved` whenever the cursor is at another time. */
export function slotsChart(
  target: HTMLElement,
  points: Point[],
  curves: Curve[],
  width: number,
  moved: (chart: uPlot) => void,
): uPlot {
  const series = curves.map(
    ({ look }): uPlot.Series => ({
      stroke: colour(look),
      width: look === 'recorded' ? 2.5 : 2,
      dash: DASHES[look] ?? [],
      paths: uPlot.paths.stepped?.({ align: 1 }) as uPlot.Series.PathBuilder,
      points: { show: false },
    }),
  )
  const options: uPlot.Options = {
    ...common(width, HEIGHT),
    series: [{}, ...series],
    axes: [timeAxis(), countAxis('slots', 34)],
    hooks: { setCursor: [moved] },
  }
  const data = dataOf(
    points,
    curves.map(({ of }) => of),
  )
  return new uPlot(options, data, target)
}

/** Draws how many sessions the policy ends at which time. Those that are regretted are crosses. */
export function endsChart(
  target: HTMLElement,
  points: Point[],
  index: number,
  width: number,
): uPlot {
  const look = `policy-${index % 6}`
  const options: uPlot.Options = {
    ...common(width, ENDS_HEIGHT),
    series: [
      {},
      {
        stroke: colour(look),
        fill: colour(look),
        width: 0,
        paths: bars(),
        points: { show: false },
      },
      {
        stroke: colour('regret'),
        fill: colour('regret'),
        width: 0,
        paths: bars(),
        points: { show: drawCrosses },
      },
    ],
    // The times stand below the first chart.
    axes: [{ ...timeAxis(), size: 6, values: () => [] }, countAxis(`${letter(index)} ends`, 18)],
    padding: [16, 24, 0, 0],
  }
  const of = (point: Point) => point.policies[index]
  const data = dataOf(points, [
    (point) => of(point)?.reaps ?? 0,
    (point) => of(point)?.regrets || null,
  ])
  return new uPlot(options, data, target)
}

const bars = () => uPlot.paths.bars?.({ size: [0.8, 14, 2], align: 1 }) as uPlot.Series.PathBuilder

function common(width: number, height: number): Pick<uPlot.Options, keyof ReturnType<typeof base>> {
  return { ...base(), width, height }
}

const base = () => ({
  width: 0,
  height: 0,
  legend: { show: false },
  tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
  cursor: {
    y: false,
    sync: { key: SYNC, scales: ['x', null] as [string, null] },
    drag: { x: true, y: false },
  },
  scales: { x: { time: true }, y: { range: fromZero } },
  padding: [10, 24, 0, 0] as uPlot.Padding,
})

function fromZero(_: uPlot, __: number, most: number): [number, number] {
  return [0, Math.max(1, most) * 1.08]
}

/** The points as uPlot has them. A point without values stands where snapshots are missing. */
function dataOf(points: Point[], values: ((point: Point) => number | null)[]): uPlot.AlignedData {
  const times = points.map(({ atMs }) => atMs / 1000)
  const distances = times.slice(1).map((time, index) => time - (times[index] ?? 0))
  const usual = distances.toSorted((a, b) => a - b)[distances.length >> 1] ?? 0
  const rows: (number | null)[][] = []
  for (const [index, point] of points.entries()) {
    const time = point.atMs / 1000
    rows.push([time, ...values.map((of) => of(point))])
    if ((distances[index] ?? 0) > GAP * usual) rows.push([time + usual, ...values.map(() => null)])
  }
  const columns = [0, ...values].map((_, column) => rows.map((row) => row[column] ?? null))
  return columns as uPlot.AlignedData
}

function timeAxis(): uPlot.Axis {
  return {
    stroke: colour('ink'),
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { stroke: colour('grid'), width: 1 },
    space: 64,
    values: (_, splits) => splits.map(timeText),
  }
}

/** The time of day in UTC, and at midnight the day. */
function timeText(seconds: number, _: number, all: number[]): string {
  const iso = new Date(seconds * 1000).toISOString()
  const distance = (all[1] ?? seconds) - (all[0] ?? seconds)
  if (distance >= 86_400 || iso.slice(11, 19) === '00:00:00') return iso.slice(5, 10)
  return iso.slice(11, distance < 60 ? 19 : 16)
}

/** @param space the least distance of two numbers, px */
function countAxis(label: string, space: number): uPlot.Axis {
  return {
    label,
    labelSize: 20,
    labelGap: 0,
    size: 44,
    space,
    stroke: colour('ink'),
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { show: false },
    incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000],
  }
}

/** Half of the width of a cross, and the least distance of two crosses, px. */
const CROSS = 3.5
const CROSS_ROOM = 8

/** Draws a cross above each time with regrets, where uPlot would draw its own points. */
function drawCrosses(chart: uPlot, index: number): boolean {
  const { ctx, bbox } = chart
  const size = CROSS * uPlot.pxRatio
  const y = bbox.top - 2 * size
  let free = 0
  ctx.save()
  ctx.strokeStyle = colour('regret')()
  ctx.lineWidth = 2 * uPlot.pxRatio
  ctx.beginPath()
  for (const [place, regrets] of (chart.data[index] ?? []).entries()) {
    const x = chart.valToPos(chart.data[0][place] ?? 0, 'x', true)
    if (!regrets || x < Math.max(free, bbox.left) || x > bbox.left + bbox.width) continue
    free = x + CROSS_ROOM * uPlot.pxRatio
    ctx.moveTo(x - size, y - size)
    ctx.lineTo(x + size, y + size)
    ctx.moveTo(x + size, y - size)
    ctx.lineTo(x - size, y + size)
  }
  ctx.stroke()
  ctx.restore()
  return false
}
