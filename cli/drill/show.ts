import { printable } from '../../lambda/core/text.ts'
import type { ClientLibrary } from '../clients.ts'
import { paint, table } from '../show.ts'
import type { Cut } from './comeback.ts'
import type { DrillResult } from './drill.ts'
import { endWords, milliseconds } from './words.ts'

/** The result for the developer of the application: what was done, what it did, and what would help. */
export function showDrill(result: DrillResult, policyName: string): string {
  const { cuts, survived, conclusion } = result
  return [
    ...showHead(result, policyName),
    ...showCuts(cuts),
    ...showLeft(cuts),
    '',
    paint(survived ? 'green' : 'red', printable(conclusion)),
    ...showChurn(cuts),
    ...showOutput(result),
    ...showHelp(result),
  ].join('\n')
}

function showHead(result: DrillResult, policyName: string): string[] {
  const { command, target, version, differences } = result
  // The disposable server is called PostgreSQL, and one of one's own has an address.
  const product = target.endsWith('PostgreSQL') ? ' ' : ', PostgreSQL '
  const release =
    version === null ? '' : `${product}${Math.floor(version / 10000)}.${version % 10000}`
  return [
    paint('bold', `drill of ${printable(command.join(' ').replace(/\s+/g, ' '))}`),
    `policy "${printable(policyName)}", on ${printable(target)}${release}`,
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

/** A pool with a minimum opens sessions that nobody needs; a load opens those that it needs. A drill sees no difference. */
function showChurn(cuts: Cut[]): string[] {
  const churned = cuts.filter(({ churn }) => churn).length
  if (churned === 0) return []
  return [
    paint(
      'yellow',
      `Churn: after ${churned} of ${cuts.length} cuts it opened at once as many sessions as were ended. Ending them frees no slot.`,
    ),
    'If its pool did that by itself, lower the minimum of the pool. If a load did, spare that many with `keep` in the policy.',
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
  const failed = cuts.find(({ cameBackMs }) => cameBackMs === null)
  const help = failed?.by === 'restart' ? RESTART_HELP : library ? helpOf(library) : GENERAL_HELP
  return ['', paint('bold', 'What would help'), ...help]
}

function helpOf({ name, asItComes, helps, snippet }: Omit<ClientLibrary, 'signs'>): string[] {
  return [
    `${name}: ${asItComes}`,
    helps,
    ...(snippet?.code.split('\n').map((line) => `    ${line}`) ?? []),
    'More: docs/clients.md',
  ]
}

const RESTART_HELP = [
  'While a server restarts, it refuses connections: try again with growing pauses, and take no refusal for final.',
]

const GENERAL_HELP = [
  'Test a connection before the pool lends it, listen for its errors, and try a first statement once more.',
  'More: docs/clients.md',
]
