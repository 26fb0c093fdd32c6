import type { Histogram, Histograms, PoolResult, ReplayReport } from '../result.ts'
import { type Bar, barsOf, countFrom, type Span, spanOf } from './bars.ts'
import { dataTable, filterInput } from './data-table.ts'
import { disclosure, element, newId, onWidth } from './dom.ts'
import { counted, duration, letter, number, poolName, visible } from './format.ts'
import { gapsPicture, hatching, type Line, limitText } from './gaps-picture.ts'
import { BARS } from './tables.ts'

/** So many pictures at first, and so many more at each step. */
const PICTURES = 4
/** More lines than this can't be told apart. The table and the text have all of them. */
const MOST_LINES = 8

type PoolGaps = { pool: PoolResult; histogram: Histogram }
type Scale = { edges: readonly number[]; span: Span; policies: string[] }

/** A picture of the idle gaps of each pool, the pool with the most sessions first. */
export function gapsSection({ pools, policies }: ReplayReport, histograms: Histograms): Element[] {
  const limits = histograms.pools.flatMap((pool) => pool.limits.map(({ seconds }) => seconds))
  const safe = pools.flatMap(({ safeOlderThanSeconds }) => safeOlderThanSeconds ?? [])
  const { edges } = histograms
  const names = policies.map(({ name }) => name)
  const scale = { edges, span: spanOf(histograms, [...limits, ...safe]), policies: names }
  const all = pools.map((pool, index): PoolGaps => {
    return { pool, histogram: histograms.pools[index] as Histogram }
  })
  const list = element('div', { class: 'pictures' })
  const status = element('output', { class: 'status' })
  const more = element('button', { type: 'button' })
  let matching = all
  let shown = 0

  const show = () => {
    const next = matching.slice(shown, shown + PICTURES)
    list.append(...next.map((gaps) => figureOf(gaps, scale)))
    shown += next.length
    status.textContent = `${number(shown)} of ${counted(matching.length, 'pool')}`
    more.hidden = shown === matching.length
    more.textContent = `Show ${Math.min(PICTURES, matching.length - shown)} more`
  }
  const filter = (text: string) => {
    const wanted = text.toLowerCase()
    matching = all.filter(({ pool }) => poolName(pool).toLowerCase().includes(wanted))
    list.replaceChildren()
    shown = 0
    show()
  }
  more.addEventListener('click', show)
  show()
  return [
    hatching(),
    ...(all.length > PICTURES ? [filterInput('pictures of pools', filter)] : []),
    list,
    element('p', { class: 'foot' }, status, more),
  ]
}

function figureOf({ pool, histogram }: PoolGaps, scale: Scale): HTMLElement {
  const { edges, span } = scale
  const heading = element('h3', {}, poolName(pool))
  const caption = element('figcaption', { id: newId() }, ...sentences(pool, histogram, scale))
  const bars = barsOf(histogram, edges, span)
  if (bars.every(({ used, ended, undecided }) => used + ended + undecided === 0)) {
    return element('figure', {}, heading, caption)
  }
  const drawing = { bars, lines: linesOf(pool, histogram, scale), edges, span }
  const canvas = element('div', {
    class: 'canvas',
    role: 'img',
    'aria-labelledby': caption.id,
  })
  onWidth(canvas, (width) => canvas.replaceChildren(gapsPicture(drawing, width)))
  const table = () => dataTable(`Gaps by length: ${poolName(pool)}`, BARS, bars.filter(isFilled))
  return element(
    'figure',
    {},
    heading,
    canvas,
    caption,
    disclosure('The same numbers as a table', table),
  )
}

const isFilled = ({ used, ended, undecided }: Bar) => used + ended + undecided > 0

/** The limits of the policies and the safe age, the shortest first. */
function linesOf(pool: PoolResult, histogram: Histogram, { edges, policies }: Scale): Line[] {
  const limits = histogram.limits.map((limit): Line => {
    const policy = policies.indexOf(limit.policy)
    const text = limitText(limit, policy, countFrom(histogram.used, edges, limit.seconds))
    return { seconds: limit.seconds, text, policy, isLimit: !limit.conditional }
  })
  const { safeOlderThan, safeOlderThanSeconds: seconds } = pool
  const safe =
    seconds === null ? [] : [{ seconds, text: `safe from ${safeOlderThan}`, isLimit: false }]
  const lines = [...safe, ...limits.slice(0, MOST_LINES)]
  return lines.sort((a, b) => a.seconds - b.seconds)
}

/** What the picture shows, in sentences with the same numbers. */
function sentences(pool: PoolResult, histogram: Histogram, scale: Scale): HTMLElement[] {
  const { gaps, longestGapThatCameBackSeconds: longest, safeOlderThan } = pool
  const cameBack =
    longest === null
      ? 'None was seen to be used again.'
      : `The longest of those that were used again took at most ${duration(longest)}.`
  const safe = safeOlderThan === null ? 'No safe age is known.' : `Safe from ${safeOlderThan} on.`
  const all = `${counted(gaps.used, 'gap')} used again, ${number(gaps.ended)} ended unused, ${number(gaps.undecided)} undecided.`
  const none =
    scale.policies.length > 0 && histogram.limits.length === 0
      ? ' No rule for idle sessions selects this pool.'
      : ''
  const rules = histogram.limits.map((limit) =>
    element('li', {}, limitSentence(limit, histogram, scale)),
  )
  return [
    element('p', {}, `${all} ${cameBack} ${safe}${none}`),
    ...(rules.length > 0 ? [element('ul', {}, ...rules)] : []),
  ]
}

function limitSentence(
  limit: Histogram['limits'][number],
  { used, ended, undecided }: Histogram,
  { edges, policies }: Scale,
): string {
  const range = (counts: number[]) => {
    const [least, most] = countFrom(counts, edges, limit.seconds)
    return least === most ? number(least) : `${number(least)} to ${number(most)}`
  }
  const sometimes = limit.conditional ? ', where its condition is met' : ''
  const name = letter(policies.indexOf(limit.policy))
  return `${name}, rule “${visible(limit.rule)}”, from ${duration(limit.seconds)} on${sometimes}: ${range(used)} used again, ${range(ended)} ended unused, ${range(undecided)} undecided.`
}
