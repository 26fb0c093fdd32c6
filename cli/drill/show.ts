import { printable } from '../../lambda/core/text.ts'
import type { ClientLibrary } from '../clients.ts'
import { paint, table } from '../show.ts'
import type { Cut } from './comeback.ts'
import type { DrillResult } from './drill.ts'
import { countSessions, endWords, milliseconds } from './words.ts'

/** What a drill was asked, as far as its result is shown with it. */
export type Asked = { policyName: string; patienceMs: number }

/** The result for the developer of the application: what was done, what it did, and what would help. */
export function showDrill(result: DrillResult, asked: Asked): string {
  const { cuts, survived } = result
  return [
    ...showHead(result, asked),
    ...showCuts(cuts),
    ...showLeft(cuts),
    '',
    paint(survived ? 'green' : 'red', conclude(result, asked)),
    ...showChurn(cuts),
    ...showOutput(result),
    ...showHelp(result),
  ].join('\n')
}

function showHead({ command, target, version, differences }: DrillResult, asked: Asked): string[] {
  const release = version === null ? '' : ` ${Math.floor(version / 10000)}.${version % 10000}`
  return [
    paint('bold', `drill of ${printable(command.join(' '))}`),
    `policy "${printable(asked.policyName)}", on ${printable(target)}${release}`,
    ...differences.map((difference) => `- ${printable(difference)}`),
  ]
}

function showCuts(cuts: Cut[]): string[] {
  if (cuts.length === 0) return []
  const rows = cuts.map((cut, index) => [
    cut.by === 'restart' ? 'restart' : String(index + 1),
    cut.endedInTransaction > 0
      ? `${cut.ended} (${cut.endedInTransaction} in a transaction)`
      : String(cut.ended),
    String(cut.left.reduce((sum, { sessions }) => sum + sessions, 0)),
    cut.cameBackMs === null ? 'no' : `after ${milliseconds(cut.cameBackMs)}`,
    `${cut.newSessions}${cut.churn ? ' (churn)' : ''}`,
    cut.process === null ? 'runs' : endWords(cut.process),
  ])
  return ['', table(['cut', '>ended', '>left', 'came back', 'new sessions', 'process'], rows)]
}

/** The sessions that the policy left, and those that the server did not let the drill end. */
function showLeft(cuts: Cut[]): string[] {
  const reasons = new Set(cuts.flatMap(({ left }) => left.map(({ why }) => why)))
  const refusals = new Set(
    cuts.flatMap(({ refused }) => refused.map(({ sqlstate, message }) => `${sqlstate} ${message}`)),
  )
  return [
    ...[...reasons].map((why) => `Left: ${printable(why)}`),
    ...[...refusals].map((refusal) => paint('red', `Refused: ${printable(refusal)}`)),
  ]
}

function conclude(result: DrillResult, { patienceMs }: Asked): string {
  const { cuts, survived, stoppedBecause, process } = result
  const last = cuts.at(-1)
  if (survived) {
    const times = cuts.length === 1 ? 'once' : `${cuts.length} times`
    const slowest = Math.max(...cuts.map(({ cameBackMs }) => cameBackMs ?? 0))
    const end = process === null ? '' : ' Then it ended by itself, with exit code 0.'
    return `It survived: it came back ${times}, after ${milliseconds(slowest)} at most.${end}`
  }
  if (last?.process && last.cameBackMs === null) {
    return `It did not survive: its process ended (${endWords(last.process)}) when its sessions ended.`
  }
  if (last && last.cameBackMs === null) {
    const asked = `It ran no query within ${milliseconds(patienceMs)} (--patience).`
    return last.newSessions > 0
      ? `It did not come back: it opened ${countSessions(last.newSessions)} and used none. ${asked}`
      : `It did not come back: it opened no session. ${asked} Perhaps nobody asked it to: COMMAND must work by itself, or start its own load.`
  }
  if (process !== null && last !== undefined) {
    return `It did not survive: it came back, but its process ended later (${endWords(process)}).`
  }
  return `The drill shows nothing${last ? ' more' : ''}: ${printable(stoppedBecause ?? '')}.`
}

function showChurn(cuts: Cut[]): string[] {
  const churned = cuts.filter(({ churn }) => churn).length
  if (churned === 0) return []
  return [
    paint(
      'yellow',
      `Churn: after ${churned} of ${cuts.length} cuts it opened as many sessions within a second as were ended. Ending them frees no slot.`,
    ),
    'Lower the minimum of its pool, or spare that many sessions with `keep` in the policy.',
  ]
}

function showOutput({ cuts, survived, lastLines, process }: DrillResult): string[] {
  if (survived) return []
  const said = cuts.at(-1)?.said ?? lastLines
  const title = cuts.length > 0 ? 'What it wrote since its sessions ended' : 'What it wrote'
  if (said.length === 0) return process === null ? [] : ['', 'It wrote nothing.']
  return ['', paint('bold', title), ...said.map((line) => `  | ${printable(line)}`)]
}

function showHelp({ survived, library, cuts }: DrillResult): string[] {
  if (survived || cuts.length === 0) return []
  return ['', paint('bold', 'What would help'), ...(library ? helpOf(library) : GENERAL_HELP)]
}

function helpOf({ id, name, asItComes, helps, snippet }: ClientLibrary): string[] {
  return [
    `${name}: ${asItComes}`,
    helps,
    ...(snippet?.code.split('\n').map((line) => `    ${line}`) ?? []),
    `More: docs/clients.md#${id}`,
  ]
}

const GENERAL_HELP = [
  'Test a connection before the pool lends it, listen for its errors, and try a first statement once more.',
  'More: docs/clients.md',
]
