import { styleText } from 'node:util'
import type { Report } from '../lambda/core/report.ts'
import { printable } from '../lambda/core/text.ts'
import type { Verdict } from '../lambda/core/verdicts.ts'

type Style = Parameters<typeof styleText>[0]

const colourful =
  !process.env.NO_COLOR && (process.env.FORCE_COLOR !== undefined || process.stdout.isTTY === true)

/** Colour where a person looks at it, plain text where it goes to a file or a pipe. */
export function paint(style: Style, text: string): string {
  return colourful ? styleText(style, text) : text
}

export function writeOut(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Rows under a head, each column as wide as its widest cell. Texts are made harmless here. */
export function table(head: string[], rows: string[][]): string {
  const cells = [head, ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [paint('bold', lines[0] ?? ''), ...lines.slice(1)].join('\n')
}

/** A bar of `width` characters: used slots, free slots, and the reserve. */
export function slotsBar({ max, reserved, used }: Report['slots'], width: number): string {
  const usable = max - reserved
  const scale = (slots: number) => Math.round((slots / max) * width)
  const filled = Math.min(scale(used), width)
  const free = Math.max(0, scale(usable) - filled)
  const reserve = width - filled - free
  const share = used / usable
  const style = share >= 1 ? 'red' : share > 0.8 ? 'yellow' : 'green'
  return paint(style, '#'.repeat(filled)) + '.'.repeat(free) + paint('dim', 'r'.repeat(reserve))
}

/** A sweep as a person reads it: the slots, then who was reaped, spared or refused, and why. */
export function showSweep(report: Report, verdicts: Verdict[]): string {
  const { slots, sessions, mode, entry } = report
  const observed = mode === 'observe'
  const parts = [
    `${paint('bold', printable(report.target))}  PostgreSQL ${Math.floor(report.server.version / 10000)}.${report.server.version % 10000}, ${mode}, came in ${entryWords[entry]}, ${report.durationMs} ms`,
    `slots     ${slotsBar(slots, 50)}  ${slots.used} used of ${slots.max} (${slots.reserved} reserved): ${slots.usedPercent}%, ${slots.available} available`,
    `sessions  ${sessions.total}: ${sessions.active} active, ${sessions.idle} idle, ${sessions.idleInTransaction} idle in transaction, ${sessions.idleInTransactionAborted} aborted, ${sessions.other} other`,
  ]
  const byPid = new Map(verdicts.map((verdict) => [verdict.session.pid, verdict]))
  const why = (pid: number) => byPid.get(pid)?.why ?? ''
  if (report.reaped.length > 0) {
    const verb = observed ? 'Would reap' : 'Reaped'
    parts.push(
      '',
      paint(observed ? 'cyan' : 'green', `${verb} ${report.reaped.length}`),
      table(
        ['pid', 'user', 'database', 'application', 'client', 'state', 'rule', 'action', 'why'],
        report.reaped.map((reaped) => [
          String(reaped.pid),
          reaped.user ?? '',
          reaped.database ?? '',
          reaped.application,
          reaped.client,
          reaped.state,
          reaped.rule,
          reaped.action,
          why(reaped.pid),
        ]),
      ),
    )
  } else {
    parts.push('', observed ? 'Would reap nobody' : 'Reaped nobody')
  }
  const spared = verdicts.filter((verdict) => verdict.verdict === 'spare')
  if (spared.length > 0) {
    parts.push(
      '',
      paint('cyan', `Spared ${spared.length} that met a rule`),
      table(
        ['pid', 'user', 'application', 'state', 'rule', 'why'],
        spared.map(({ session, rule, why }) => [
          String(session.pid),
          session.user ?? '',
          session.application,
          session.state ?? '',
          rule,
          why,
        ]),
      ),
    )
  }
  parts.push(...lateLines(report, spared))
  if (report.refused.length > 0) {
    parts.push(
      '',
      paint('red', `Refused ${report.refused.length}`),
      table(
        ['pid', 'user', 'application', 'sqlstate', 'message'],
        report.refused.map(({ pid, sqlstate, message }) => [
          String(pid),
          byPid.get(pid)?.session.user ?? '',
          byPid.get(pid)?.session.application ?? '',
          sqlstate,
          message,
        ]),
      ),
      'Where SQLSTATE is 42501: GRANT pg_signal_backend TO the role of this sweep.',
    )
  }
  return parts.join('\n')
}

/** What became of those that were to be reaped, and were spared when their turn came. */
const lateWords = {
  changed: 'changed between the look and the signal',
  gone: 'gone between the look and the signal',
  advisoryLock: 'took an advisory lock between the look and the signal',
  replicationSlot: 'took a replication slot between the look and the signal',
  budget: 'not reached before the sweep had to end; the next one goes on',
}

function lateLines(report: Report, listed: { reason: string }[]): string[] {
  const reasons = Object.keys(lateWords) as (keyof typeof lateWords)[]
  return reasons.flatMap((reason) => {
    const before = listed.filter((verdict) => verdict.reason === reason).length
    const late = report.spared[reason] - before
    return late > 0 ? [`${late} ${lateWords[reason]}`] : []
  })
}

export const entryWords = {
  warm: 'over the kept connection',
  client: 'as a client',
  walsender: "through a walsender's slot",
}
