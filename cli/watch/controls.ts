import { type PoolRow, SORTS, type Sort, sortPools } from './pools.ts'

/** What the person at the keyboard has chosen to see. */
export type Controls = {
  page: 'pools' | 'sessions' | 'help'
  paused: boolean
  /** The watch is about to end, and waits for the sweep under way. */
  ending: boolean
  sort: Sort
  /** The key of the selected pool. Without one, or if it is gone, the first one is selected. */
  selected?: string
  /** The instance of a cluster whose pools are shown. Without one, or if it is gone, the first one is shown. */
  instance?: string
  /** How many sessions of the pool are scrolled away. */
  scrolled: number
}

/** A key that was pressed, in the names of `node:readline`. */
export type Key = { name?: string | undefined; ctrl?: boolean; sequence?: string }

export const START: Controls = {
  page: 'pools',
  paused: false,
  ending: false,
  sort: 'sessions',
  scrolled: 0,
}

const PAGE = 10
const STEPS: Record<string, number> = {
  up: -1,
  k: -1,
  down: 1,
  j: 1,
  pageup: -PAGE,
  pagedown: PAGE,
  home: Number.NEGATIVE_INFINITY,
  end: Number.POSITIVE_INFINITY,
}
const OPENS = new Set(['return', 'enter', 'right', 'l'])
const CLOSES = new Set(['escape', 'backspace', 'left'])

/** The rows in the order in which they are shown, and which one is selected; -1 if there is none. */
export function selection(rows: PoolRow[], { sort, selected }: Controls) {
  const sorted = sortPools(rows, sort)
  const index = sorted.findIndex(({ key }) => key === selected)
  return { sorted, index: sorted.length === 0 ? -1 : Math.max(0, index) }
}

/** What a key changes. Keys that end or suspend the watch are not handled here. */
export function press(controls: Controls, key: Key, rows: PoolRow[]): Controls {
  const name = key.sequence === '?' ? 'h' : (key.name ?? '')
  if (name === 'p') return { ...controls, paused: !controls.paused }
  if (name === 'h') return { ...controls, page: controls.page === 'help' ? 'pools' : 'help' }
  if (CLOSES.has(name)) return { ...controls, page: 'pools', scrolled: 0 }
  if (controls.page === 'sessions') return scroll(controls, name, rows)
  return controls.page === 'pools' ? choose(controls, name, rows) : controls
}

function choose(controls: Controls, name: string, rows: PoolRow[]): Controls {
  if (name === 's') {
    const sort = SORTS[(SORTS.indexOf(controls.sort) + 1) % SORTS.length] as Sort
    return { ...controls, sort }
  }
  const { sorted, index } = selection(rows, controls)
  const at = (place: number) => sorted[clamp(place, sorted.length - 1)]?.key
  const step = STEPS[name]
  if (step !== undefined) return select(controls, at(index + step))
  return OPENS.has(name) && index >= 0
    ? { ...select(controls, at(index)), page: 'sessions', scrolled: 0 }
    : controls
}

function scroll(controls: Controls, name: string, rows: PoolRow[]): Controls {
  const step = STEPS[name]
  if (step === undefined) return controls
  const pool = rows.find(({ key }) => key === controls.selected)
  return { ...controls, scrolled: clamp(controls.scrolled + step, (pool?.sessions ?? 1) - 1) }
}

function select({ selected, ...controls }: Controls, key: string | undefined): Controls {
  return key === undefined ? controls : { ...controls, selected: key }
}

function clamp(value: number, most: number): number {
  return Math.max(0, Math.min(value, most))
}
