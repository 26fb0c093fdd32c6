import { element, newId } from './dom.ts'
import { number } from './format.ts'

/** What stands in a cell. `value` is what the report has: it is what the cell sorts by. */
export type Cell = { text: string; value: number | string; kind: 'text' | 'number' | 'time' }

export type Column<Row> = { head: string; cell(row: Row): Cell }

type Order = { column: number; descending: boolean }

/** So many rows are in the page at first, and so many more at each step: a phone can show them. */
const FIRST_ROWS = 25
const MORE_ROWS = 250
/** A table that is no longer is not worth a filter. */
const MOST_UNFILTERED = 5

/** A table whose rows can be filtered by a text and sorted by each column. */
export function dataTable<Row>(
  caption: string,
  columns: Column<Row>[],
  rows: readonly Row[],
): HTMLElement {
  const body = element('tbody')
  const status = element('output', { class: 'status' })
  const more = element('button', { type: 'button' })
  const all = rows.map((row) => columns.map((column) => column.cell(row)))
  let filter = ''
  let order: Order | undefined
  let shown: Cell[][] = all
  let limit = FIRST_ROWS

  const render = () => {
    body.replaceChildren(...shown.slice(0, limit).map(rowOf))
    const visible = Math.min(limit, shown.length)
    const matching = filter === '' ? '' : ` that match, of ${number(rows.length)}`
    status.textContent =
      shown.length === 0 ? 'No row' : `${number(visible)} of ${rowCount(shown.length)}`
    status.textContent += matching
    const rest = shown.length - visible
    more.hidden = rest === 0
    more.textContent = `Show ${number(Math.min(rest, MORE_ROWS))} more`
  }
  const change = () => {
    shown = sorted(filtered(all, filter), order)
    limit = FIRST_ROWS
    render()
  }

  more.addEventListener('click', () => {
    limit += MORE_ROWS
    render()
  })
  const heads = columns.map(({ head }, column) => {
    const button = element('button', { type: 'button' }, head)
    const cell = element('th', { scope: 'col' }, button)
    if (all[0]?.[column]?.kind === 'number') cell.className = 'number'
    button.addEventListener('click', () => {
      // The greatest number is looked for first, but the first name.
      const first = all[0]?.[column]?.kind === 'number'
      order = { column, descending: order?.column === column ? !order.descending : first }
      for (const other of heads) other.removeAttribute('aria-sort')
      cell.setAttribute('aria-sort', order.descending ? 'descending' : 'ascending')
      change()
    })
    return cell
  })
  render()

  const name = newId()
  const table = element(
    'table',
    { 'aria-labelledby': name },
    element('thead', {}, element('tr', {}, ...heads)),
    body,
  )
  const scroller = { class: 'scroll', tabindex: '0', role: 'region', 'aria-labelledby': name }
  return element(
    'div',
    { class: 'data' },
    element('h3', { id: name }, caption),
    ...(rows.length > MOST_UNFILTERED ? [filterInput(caption, setFilter)] : []),
    element('div', scroller, table),
    element('p', { class: 'foot' }, status, more),
  )

  function setFilter(text: string): void {
    filter = text.toLowerCase()
    change()
  }
}

/** A labelled input that calls `change` with its text. */
export function filterInput(what: string, change: (text: string) => void): HTMLElement {
  const input = element('input', { type: 'search', autocomplete: 'off', spellcheck: 'false' })
  input.addEventListener('input', () => change(input.value.trim()))
  return element(
    'label',
    { class: 'filter' },
    'Filter',
    element('span', { class: 'hidden' }, `: ${what}`),
    input,
  )
}

function rowOf(cells: Cell[]): HTMLElement {
  return element('tr', {}, ...cells.map(cellOf))
}

function cellOf({ text, value, kind }: Cell): HTMLElement {
  if (kind === 'number') {
    const number = element('data', { value: String(value) }, text)
    return element('td', { class: 'number' }, number)
  }
  return element(
    'td',
    { class: kind },
    kind === 'time' ? element('time', { datetime: String(value) }, text) : text,
  )
}

function filtered(rows: Cell[][], filter: string): Cell[][] {
  if (filter === '') return rows
  return rows.filter((cells) => cells.some(({ text }) => text.toLowerCase().includes(filter)))
}

/** Rows that are equal keep their order. */
function sorted(rows: Cell[][], order: Order | undefined): Cell[][] {
  if (order === undefined) return rows
  const { column, descending } = order
  const sign = descending ? -1 : 1
  return rows.toSorted((a, b) => sign * compare(a[column] as Cell, b[column] as Cell))
}

function compare({ value: a }: Cell, { value: b }: Cell): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0
}

const rowCount = (count: number) => `${number(count)} row${count === 1 ? '' : 's'}`
