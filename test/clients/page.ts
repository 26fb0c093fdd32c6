import { CLIENT_LIBRARIES } from '../../cli/clients.ts'
import type { Client } from './clients.ts'
import { type Course, type Outcome, outcomeOf } from './outcome.ts'

/** A row of the table in docs/clients.md. `with` is absent for a client that needs no setting. */
export type Row = {
  client: Client
  version: string
  asItComes: Course
  with?: Course
}

const BEGIN = '<!-- clients -->\n'
const END = '<!-- end -->'
const HEAD = [
  '| client | as it comes | what its user sees | with the setting |',
  '| --- | --- | --- | --- |',
]

/** One row as Markdown. */
export function showRow({ client, version, asItComes, with: helped }: Row): string {
  return cells(
    client,
    version,
    showOutcome(asItComes),
    asItComes.error === null ? '' : showError(asItComes.error),
    helped ? showOutcome(helped) : '',
  )
}

/** The row of a client that could not be run here. */
export function showNotRun(client: Client, why: string): string {
  return cells(client, '', 'not run', why, '')
}

function cells({ name, library }: Client, version: string, ...rest: string[]): string {
  const title = CLIENT_LIBRARIES.find(({ id }) => id === library)?.name ?? ''
  const first = [`[${name}](#${anchorOf(title)})`, version].filter(Boolean).join(' ')
  return `| ${[first, ...rest].join(' | ')} |`
}

/** As GitHub names the heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')
}

function showOutcome(course: Course): string {
  const outcome = outcomeOf(course)
  const asked = course.rounds.flat()
  if (asked.length === 0) return `**${outcome}**`
  const failed = asked.filter(({ ok }) => !ok).length
  return `${failed} of ${asked.length} failed: **${outcome}**`
}

/** In one line, without what differs from run to run. */
function showError(text: string): string {
  const oneLine = text
    .trim()
    .replace(/\s*\n\s*/g, ' ⏎ ')
    .replace(/(port|:) ?\d{5}\b/g, '$1 …')
    .replaceAll('|', '\\|')
    .replaceAll('`', "'")
  return `\`${oneLine}\``
}

/** The outcomes that the page promises for a client; undefined: none. */
export function promised(page: string, { name }: Client): Outcome[] | undefined {
  const row = rowsOf(page).get(name)
  if (row === undefined || row.includes('| not run |')) return undefined
  return [...row.matchAll(/\*\*([^*]+)\*\*/g)].map(([, outcome]) => outcome as Outcome)
}

/** The page with these rows in place of the ones with the same name, and all rows in this order. */
export function withRows(page: string, rows: Map<string, string>, order: string[]): string {
  const all = new Map([...rowsOf(page), ...rows])
  const lines = order.flatMap((name) => all.get(name) ?? [])
  const [before = '', rest = ''] = page.split(BEGIN)
  const after = rest.slice(rest.indexOf(END))
  return `${before}${BEGIN}${[...HEAD, ...lines].join('\n')}\n${after}`
}

function rowsOf(page: string): Map<string, string> {
  const table = page.split(BEGIN)[1]?.split(END)[0] ?? ''
  return new Map(
    table
      .split('\n')
      .flatMap((line) => [[/^\| \[([^\]]+)\]/.exec(line)?.[1], line] as const])
      .filter((entry): entry is [string, string] => entry[0] !== undefined),
  )
}
