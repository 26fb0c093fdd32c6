import type uPlot from 'uplot'
import type { Point, PolicyResult, ReplayReport, Series } from '../result.ts'
import { dataTable } from './data-table.ts'
import { disclosure, element, newId, onWidth, svg } from './dom.ts'
import { counted, letter, number, second, visible } from './format.ts'
import { type Curve, endsChart, slotsChart } from './slots-chart.ts'
import { pointColumns } from './tables.ts'

/** Slots over time: as recorded, with each policy, and what each policy would have ended. */
export function slotsSection(report: ReplayReport, series: Series): HTMLElement[] {
  const { policies } = report
  const points = series.points
  const caption = element('figcaption', { id: newId() }, sentences(report, points))
  const canvas = element('div', {
    class: 'canvas',
    role: 'img',
    'aria-labelledby': caption.id,
  })
  const curves = curvesOf(policies)
  const readout = element('output', { class: 'readout' })
  const place = element('input', {
    type: 'range',
    min: '0',
    max: String(points.length - 1),
    value: String(points.length - 1),
    step: '1',
  })
  const whole = element('button', { type: 'button' }, 'Show all of the time')
  let charts: uPlot[] = []

  const tell = (index: number) => {
    const point = points[index]
    if (!point) return
    const told = readoutOf(point, policies.length)
    readout.textContent = told
    place.value = String(index)
    place.setAttribute('aria-valuetext', told)
  }
  const tellAtCursor = ({ cursor: { idx } }: uPlot) => {
    if (typeof idx === 'number') tell(pointAt(points, charts[0]?.data[0][idx] ?? 0))
  }
  place.addEventListener('input', () => {
    const index = Number(place.value)
    tell(index)
    const [chart] = charts
    const left = chart?.valToPos((points[index]?.atMs ?? 0) / 1000, 'x') ?? 0
    chart?.setCursor({ left, top: 10 }, false)
  })
  whole.addEventListener('click', () => {
    for (const chart of charts) {
      const [xs] = chart.data
      chart.setScale('x', { min: xs[0] ?? 0, max: xs.at(-1) ?? 0 })
    }
  })
  const legend = curves.map((curve, index) =>
    toggle(curve, (show) => charts[0]?.setSeries(index + 1, { show })),
  )
  onWidth(canvas, (width) => {
    if (charts.length > 0) {
      for (const chart of charts) chart.setSize({ width, height: chart.height })
      return
    }
    charts = [
      slotsChart(canvas, points, curves, width, tellAtCursor),
      ...policies.map((_, index) => endsChart(canvas, points, index, width)),
    ]
  })
  for (const query of ['(prefers-color-scheme: dark)', 'print']) {
    matchMedia(query).addEventListener('change', () => {
      for (const chart of charts) chart.redraw()
    })
  }
  tell(points.length - 1)
  return [
    element('div', { class: 'legend' }, ...legend),
    element(
      'figure',
      {},
      canvas,
      element('label', { class: 'moment' }, 'Time', place),
      element('p', { class: 'foot' }, readout, whole),
      caption,
      disclosure('The same numbers as a table', () =>
        dataTable('Slots over time', pointColumns(policies.length), points),
      ),
    ),
  ]
}

function curvesOf(policies: PolicyResult[]): Curve[] {
  return [
    { name: 'slots for ordinary roles', look: 'usable', of: ({ usable }) => usable },
    { name: 'used as recorded', look: 'recorded', of: ({ used }) => used },
    ...policies.map(
      ({ name }, index): Curve => ({
        name: `used with ${letter(index)}: ${visible(name)}`,
        look: `policy-${index % 6}`,
        of: (point) => point.policies[index]?.used ?? 0,
      }),
    ),
  ]
}

function toggle({ name, look }: Curve, change: (show: boolean) => void): HTMLElement {
  const box = element('input', { type: 'checkbox' })
  box.checked = true
  box.addEventListener('change', () => change(box.checked))
  const sample = svg(
    'svg',
    { width: 34, height: 10, class: `sample ${look}`, 'aria-hidden': 'true' },
    svg('line', { x1: 1, x2: 33, y1: 5, y2: 5 }),
  )
  return element('label', {}, box, sample, name)
}

function readoutOf({ atMs, usable, used, policies }: Point, count: number): string {
  const each = policies.slice(0, count).map((policy, index) => {
    const name = letter(index)
    const regrets = policy.regrets > 0 ? `, ${policy.regrets} of them regretted` : ''
    const ends = policy.reaps > 0 ? ` (ends ${policy.reaps}${regrets})` : ''
    return `${policy.used} with ${name}${ends}`
  })
  return `${second(new Date(atMs).toISOString())} UTC, of ${usable} slots used: ${[`${used} as recorded`, ...each].join('; ')}`
}

/** The place of the last point that is not after `seconds`. */
function pointAt(points: Point[], seconds: number): number {
  const index = points.findLastIndex(({ atMs }) => atMs / 1000 <= seconds)
  return Math.max(0, index)
}

/** What the picture shows, in sentences with the same numbers. */
function sentences({ policies }: ReplayReport, points: Point[]): string {
  const most = (of: (point: Point) => number) => points.reduce((a, b) => (of(b) > of(a) ? b : a))
  const peak = most(({ used }) => used)
  const recorded = `As recorded, at most ${number(peak.used)} of ${counted(peak.usable, 'slot')} for ordinary roles were used (${second(new Date(peak.atMs).toISOString())} UTC).`
  const each = policies.map(({ wouldReap, regretted }, index) => {
    const used = (point: Point) => point.policies[index]?.used ?? 0
    return `With ${letter(index)}, at most ${number(used(most(used)))}: it ends ${counted(wouldReap, 'session')}, and ${number(regretted)} of them are used again.`
  })
  return [recorded, ...each].join(' ')
}
