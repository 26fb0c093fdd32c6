import type { Pool } from '../../lambda/core/pool.ts'
import { poolOf } from '../../lambda/core/pool.ts'
import type { SpareReason } from '../../lambda/core/verdict.ts'
import { ageOf, sleeps } from '../causes.ts'
import { groupBy } from '../group.ts'
import { age, clock } from '../show.ts'
import { span } from '../show-sweep.ts'
import { type Controls, selection } from './controls.ts'
import type { Next } from './next.ts'
import type { Picture, Sight } from './picture.ts'
import type { PoolRow, PoolVerdict } from './pools.ts'
import { columns, type Line, type Screen } from './text.ts'

/** A table with its title. `lines` draws it in a number of rows, of which the title takes one. */
export type Section = { wants: number; lines(rows: number): Line[] }

const POOL = ['~application', '~user@database', '~client']
const POOL_HEAD = ['>idle', '>oldest', '>+/m', ...POOL, '~verdict']
const poolCells = ({ user, database, application, client }: Pool) => [
  application || '-',
  `${user ?? '-'}@${database ?? '-'}`,
  client,
]

/** The pools. The selected one is marked, and always among the rows that are shown. */
export function poolsSection(
  { pools }: Sight,
  controls: Controls,
  screen: Screen,
  elapsed: number,
): Section {
  const { sorted, index } = selection(pools, controls)
  const hasTransactions = pools.some(({ inTransaction }) => inTransaction > 0)
  return {
    wants: sorted.length + 2,
    lines(rows) {
      const room = Math.max(0, rows - 2)
      const from = firstShown(index, sorted.length, room)
      const shown = sorted.slice(from, from + room)
      const hidden = sorted.length - shown.length
      const more = hidden > 0 ? `, ${from + 1} to ${from + shown.length} shown` : ''
      const [names = '', ...lines] = columns(
        ['', '>sess', '>busy', ...(hasTransactions ? ['>tx'] : []), ...POOL_HEAD],
        shown.map((row) => [
          row === sorted[index] ? '>' : ' ',
          String(row.sessions),
          String(row.busy),
          ...(hasTransactions ? [String(row.inTransaction)] : []),
          String(row.idle),
          row.oldestIdleSeconds === null ? '-' : age(row.oldestIdleSeconds),
          String(row.openedPerMinute),
          ...poolCells(row.pool),
          verdictWords(row.verdict, elapsed),
        ]),
        screen,
      )
      return [
        [
          { text: `Pools: ${sorted.length}`, style: 'bold' },
          { text: `, by ${controls.sort}${more}` },
        ],
        [{ text: names, style: 'dim' }],
        ...lines.map((text, at): Line => poolLine(text, shown[at], shown[at] === sorted[index])),
      ]
    },
  }
}

function poolLine(text: string, row: PoolRow | undefined, isSelected: boolean): Line {
  if (isSelected) return [{ text, style: 'inverse' }]
  const is = row?.verdict.is
  if (is === 'refused') return [{ text, style: 'red' }]
  return is === 'reaped' || is === 'due' ? [{ text, style: 'yellow' }] : [{ text }]
}

function verdictWords(verdict: PoolVerdict, elapsed: number): string {
  switch (verdict.is) {
    case 'next':
      return `${countdown(verdict.seconds, elapsed)} ${verdict.rule}`
    case 'spared':
      return spareWords[verdict.reason]
    case 'left':
      return verdict.why
    case 'due':
      return `${verdict.sessions} due now`
    default:
      return `${verdict.sessions} ${verdict.is}`
  }
}

const spareWords: Record<SpareReason, string> = {
  protected: 'protected',
  listening: 'listens',
  advisoryLock: 'holds a lock',
  replicationSlot: 'replicates',
  backup: 'backs up',
  kept: 'kept',
  budget: 'over budget',
}

/** The sessions that meet a rule next, and the rules that wait for a condition. */
export function nextSection(
  { sight }: Picture & { sight: Sight },
  screen: Screen,
  elapsed: number,
): Section {
  const { next, conditions, report } = sight
  const now = next.filter(({ seconds }) => seconds === 0).length
  // In mode `observe` those that meet a rule now stand in the list of what would have been reaped.
  const listed = report.mode === 'observe' ? next.slice(now) : next
  const waiting = conditions.map(
    ({ rule, holds, why }): Line => [
      { text: `rule ${rule} ${holds ? 'acts' : 'waits'}: ${why}`, style: holds ? 'yellow' : 'dim' },
    ],
  )
  return {
    wants: 1 + waiting.length + listed.length,
    lines(rows) {
      const room = Math.max(0, rows - 1 - waiting.length)
      const shown = listed.slice(0, room)
      const more = listed.length > shown.length ? `, ${listed.length} later` : ''
      const title: Line = [
        { text: 'Next to meet a rule', style: 'bold' },
        { text: `, if it stays as it is: ${now} now${more}` },
      ]
      return [
        title,
        ...waiting,
        ...columns(
          ['>in', 'rule', '>pid', '> for', ...POOL],
          shown.map((one) => nextCells(one, elapsed)),
          screen,
        )
          .slice(1)
          .map((text): Line => [{ text }]),
      ].slice(0, rows)
    },
  }
}

function nextCells({ session, rule, seconds }: Next, elapsed: number): string[] {
  const { state, pid } = session
  return [
    countdown(seconds, elapsed),
    rule,
    String(pid),
    `${state} ${age(ageOf(session))}`,
    ...poolCells(session),
  ]
}

/** What was reaped last or would have been, the newest first: one row for what one look ended in one pool. */
export function reapsSection({ mode, reaps, totals, sight }: Picture, screen: Screen): Section {
  const title = mode === 'reap' ? 'Reaped' : 'Would have been reaped'
  const [refusal] = sight?.report.refused ?? []
  const why = refusal ? ` (${refusal.sqlstate}: ${refusal.message})` : ''
  const refused = totals.refused > 0 ? `, ${totals.refused} refused${why}` : ''
  const groups = groupBy(reaps, ({ atMs, rule, pool }) => `${atMs}\0${rule}\0${poolOf(pool)}`)
  return {
    wants: 1 + groups.length,
    lines(rows) {
      const shown = groups.slice(0, Math.max(0, rows - 1))
      return [
        [
          { text: `${title}: ${totals.reaped}`, style: 'bold' },
          { text: `${refused}${groups.length > 0 ? ', the last first' : ''}` },
        ],
        ...columns(
          ['at', '>sessions', 'rule', '>for', ...POOL],
          shown.map(([, members]) => [
            clock(members[0].atMs / 1000, members[0].atMs),
            members.length > 1 ? `${members.length} sessions` : `pid ${members[0].pid}`,
            `by ${members[0].rule}`,
            span(members.map(({ ageSeconds }) => ageSeconds)),
            ...poolCells(members[0].pool),
          ]),
          screen,
        )
          .slice(1)
          .map((text): Line => [{ text }]),
      ]
    },
  }
}

/** The sessions of the selected pool, the longest in its state first. */
export function sessionsSection(
  { pools, snapshot, verdicts, next }: Sight,
  controls: Controls,
  screen: Screen,
  elapsed: number,
): Section {
  const row = pools.find(({ key }) => key === controls.selected)
  const nextOf = new Map(next.map((one) => [one.session.pid, one]))
  const members = verdicts
    .filter(({ session }) => session.pid !== snapshot.ownPid && poolOf(session) === row?.key)
    .sort((a, b) => ageOf(b.session) - ageOf(a.session))
  return {
    wants: members.length + 2,
    lines(rows) {
      if (!row) return [[{ text: 'No session of this pool is left.' }]]
      const room = Math.max(0, rows - 2)
      const from = Math.min(controls.scrolled, Math.max(0, members.length - room))
      const shown = members.slice(from, from + room)
      const place =
        shown.length < members.length ? `, ${from + 1} to ${from + shown.length} shown` : ''
      const [names = '', ...lines] = columns(
        ['>pid', 'state', '> for', '>in tx', 'opened (UTC)', '~verdict'],
        shown.map(({ session, why }) => {
          const soon = nextOf.get(session.pid)
          return [
            String(session.pid),
            session.state ?? '-',
            session.ageSeconds === null ? '-' : age(session.ageSeconds),
            sleeps(session) ? age(session.transactionSeconds ?? 0) : '-',
            clock(Number(session.backendStart), snapshot.atMs),
            soon ? `${countdown(soon.seconds, elapsed)}: ${soon.rule}` : why,
          ]
        }),
        screen,
      )
      return [
        [
          { text: poolCells(row.pool).join('  '), style: 'bold' },
          { text: `: ${members.length} sessions${place}` },
        ],
        [{ text: names, style: 'dim' }],
        ...lines.map((text): Line => [{ text }]),
      ]
    },
  }
}

function countdown(seconds: number, elapsed: number): string {
  const left = Math.ceil(seconds - elapsed)
  return left > 0 ? `in ${age(left)}` : 'now'
}

/** The first row that is shown, so that the selected one is in the middle where possible. */
function firstShown(index: number, count: number, room: number): number {
  return Math.max(0, Math.min(index - Math.floor(room / 2), count - room))
}
