import { printable } from '../../lambda/core/text.ts'
import { clock, paint, slotsBar, table } from '../show.ts'
import { MOST_LINES, POOL_HEAD, poolCells } from '../show-causes.ts'
import type { Diagnosis, Finding, PlanOption, PoolUse, Remedy, Severity } from './diagnosis.ts'
import { ago, plural } from './words.ts'
import { wrap } from './wrap.ts'

/** The lines of a terminal, without the one for the prompt. */
const SCREEN = 23
const BAR = 40
const POOL_BAR = 10
const INDENT = '  '

/**
 * The diagnosis as text. The first 24 lines have the worst finding, what to do now, and the plan; the pools and
 * everything else follow.
 * @param width of the terminal, characters
 */
export function showDiagnosis(diagnosis: Diagnosis, width = 80): string {
  const { findings, plan, pools } = diagnosis
  const earlier = new Map<string, number>()
  const server = showServer(diagnosis, width)
  const options = [
    paint('bold', 'The four options'),
    ...plan.flatMap((option) => showOption(option, width)),
  ]
  return [
    ...server,
    '',
    ...showWorst(findings[0], width, SCREEN - server.length - 1 - options.length),
    ...options,
    '',
    ...showPools(pools, diagnosis),
    ...findings.flatMap((finding, index) => [
      '',
      ...showFinding(finding, index + 1, earlier, width),
    ]),
  ].join('\n')
}

function showServer({ target, at, watchedSeconds, server, slots }: Diagnosis, width: number) {
  const { max, reserved, used, usedPercent, available } = slots
  const version = `PostgreSQL ${Math.floor(server.version / 10000)}.${server.version % 10000}`
  const kind = { community: '', rds: ' on RDS', aurora: ' on Aurora' }[server.kind]
  const now = Date.parse(at)
  return [
    ...wrap(
      `${printable(target)}, ${version}${kind}, watched for ${ago(watchedSeconds)} until ${clock(now / 1000, now)} UTC`,
      width,
    ),
    `${slotsBar(slots, BAR)}  ${usedPercent} %: ${used} of ${max - reserved} slots, ${available} free`,
  ]
}

/**
 * What is wrong, what frees slots at once, and what ends it for good. The rest of the last one stands with its finding.
 * @param room for it, lines
 */
function showWorst(finding: Finding | undefined, width: number, room: number): string[] {
  if (finding === undefined) return ['Nothing is wrong with the slots.', '']
  if (finding.severity === 'info') {
    return ['Nothing is wrong with the slots. There are hints below the pools.', '']
  }
  const { remedies } = finding
  const now = remedies.filter(({ kind }) => kind === 'sql').slice(0, 2)
  const then = remedies.find(({ kind }) => kind !== 'sql')
  const shown = [
    ...showTitle(finding, width),
    ...(now.length > 0
      ? [heading("Now, in psql as a superuser or RDS's master user (explained under 1):")]
      : []),
    ...now.flatMap(lines),
    ...(then ? [heading('For good (divide a pool size by the processes of a host):')] : []),
  ]
  return [...shown, ...(then ? lines(then) : []).slice(0, Math.max(1, room - shown.length))]
}

const heading = (text: string) => paint('cyan', text)

function lines({ text }: Remedy): string[] {
  return text.split('\n').map((line) => INDENT + printable(line))
}

const STYLES = { critical: 'red', warning: 'yellow', info: 'cyan' } as const

function label(severity: Severity): string {
  return paint(STYLES[severity], severity.toUpperCase())
}

function showTitle({ severity, title }: Finding, width: number): string[] {
  const prefix = `${severity.toUpperCase()}  `
  const [first = '', ...rest] = wrap(prefix + printable(title), width, INDENT)
  return [first.replace(severity.toUpperCase(), label(severity)), ...rest]
}

const OPTION_WORDS = {
  'smaller-pools': 'smaller pools',
  pooler: 'a pooler',
  'stricter-policy': 'stricter policy',
  'raise-limit': 'more slots',
} as const
const OPTION_WIDTH = 21

function showOption({ option, take, why }: PlanOption, width: number): string[] {
  const name = `${take ? 'yes' : 'no '}  ${OPTION_WORDS[option]}`.padEnd(OPTION_WIDTH)
  const [first = '', ...rest] = wrap(name + printable(why), width, ' '.repeat(OPTION_WIDTH))
  return [take ? first.replace('yes', paint('green', 'yes')) : first, ...rest]
}

function showPools(pools: PoolUse[], { slots }: Diagnosis): string[] {
  const shown = pools.slice(0, MOST_LINES)
  const rest = pools.slice(MOST_LINES).reduce((sum, { sessions }) => sum + sessions, 0)
  const usable = slots.max - slots.reserved
  const columns = COLUMNS.filter(({ tells }) => shown.some(tells))
  return [
    paint(
      'bold',
      'Who holds the slots (# at work or in a transaction, = idle; busy: most at once)',
    ),
    table(
      ['>held', '', ...columns.map(({ head }) => `>${head}`), ...POOL_HEAD],
      shown.map((pool) => [
        String(pool.sessions),
        poolBar(pool, usable),
        ...columns.map(({ cell }) => cell(pool)),
        ...poolCells(pool),
      ]),
    ),
    ...(rest > 0
      ? [`and ${plural(rest, 'more session')} in ${pools.length - MOST_LINES} more pools (--json)`]
      : []),
  ]
}

/** A column that says nothing of any pool is left out, so that the names fit on the line. */
const COLUMNS: {
  head: string
  cell: (pool: PoolUse) => string
  tells: (pool: PoolUse) => boolean
}[] = [
  { head: 'busy', cell: ({ peakBusy }) => number(peakBusy), tells: () => true },
  { head: 'idle for', cell: (pool) => ago(pool.oldestIdleSeconds), tells: () => true },
  {
    head: 'unused',
    cell: ({ neverUsed }) => number(neverUsed),
    tells: ({ neverUsed }) => (neverUsed ?? 0) > 0,
  },
  {
    head: 'new/min',
    cell: ({ openedPerMinute }) => number(openedPerMinute),
    tells: ({ openedPerMinute }) => (openedPerMinute ?? 0) > 0,
  },
]

const number = (value: number | null) =>
  value === null ? '-' : String(value < 10 ? value : Math.round(value))

function poolBar({ sessions, busy, idleInTransaction }: PoolUse, usable: number): string {
  const scale = (count: number) => Math.round((count / Math.max(1, usable)) * POOL_BAR)
  const filled = Math.min(POOL_BAR, Math.max(1, scale(sessions)))
  const working = Math.min(filled, scale((busy ?? 0) + (idleInTransaction ?? 0)))
  return '#'.repeat(working) + '='.repeat(filled - working)
}

const KIND_WORDS = {
  sql: 'SQL',
  parameter: 'parameter',
  application: 'application',
  policy: 'policy',
  cdk: 'cdk.json',
} as const

/** A remedy that stands with an earlier finding is only named. */
function showFinding(
  { id, severity, title, remedies }: Finding,
  number: number,
  earlier: Map<string, number>,
  width: number,
): string[] {
  return [
    paint('bold', `${number}. ${label(severity)} ${id}`),
    ...wrap(INDENT + printable(title), width, INDENT),
    ...remedies.flatMap((remedy) => {
      const shown = earlier.get(remedy.text)
      const kind = heading(`${INDENT}${KIND_WORDS[remedy.kind]}`)
      if (shown !== undefined) {
        // A part of a statement must not look as if it could be pasted.
        const first =
          remedy.kind === 'sql' ? '' : `: ${printable(remedy.text.split('\n')[0] ?? '')}`
        return [`${kind}: as in ${shown}${first}`]
      }
      earlier.set(remedy.text, number)
      return [
        `${kind}:`,
        ...lines(remedy).map((line) => INDENT + line),
        ...wrap(`${INDENT}${printable(remedy.why)}`, width, INDENT),
      ]
    }),
  ]
}
