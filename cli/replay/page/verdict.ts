import type { PolicyResult, ReplayReport } from '../result.ts'
import { element } from './dom.ts'
import { counted, duration, letter, number, second, versionName, visible } from './format.ts'

/** What was recorded, in one sentence. */
export function recordedSentence(report: ReplayReport): string {
  const { from, to, snapshots, everySeconds, gaps, server } = report
  const apart = snapshots > 1 ? `, ${duration(everySeconds)} apart` : ''
  return `PostgreSQL ${versionName(server.version)}, from ${second(from)} to ${second(to)} UTC: ${counted(snapshots, 'snapshot')}${apart}, and ${counted(gaps, 'idle gap')}.`
}

/** One box for each policy: whether it regrets anything comes first. */
export function policyCards(policies: PolicyResult[]): HTMLElement {
  return element('div', { class: 'cards' }, ...policies.map(cardOf))
}

function cardOf(policy: PolicyResult, index: number): HTMLElement {
  const [kind, sign, verdict] = verdictOf(policy)
  return element(
    'article',
    { class: `card ${kind}` },
    element('h3', {}, badge(index), visible(policy.name)),
    element('p', { class: 'verdict' }, element('span', { class: 'sign' }, sign), verdict),
    element('p', {}, explain(policy)),
  )
}

export function badge(index: number): HTMLElement {
  return element('span', { class: `badge policy-${index % 6}` }, letter(index))
}

type Verdict = [kind: 'good' | 'bad' | 'open', sign: string, text: string]

function verdictOf({ wouldReap, regretted, undecided }: PolicyResult): Verdict {
  if (regretted > 0) return ['bad', '✕', counted(regretted, 'regret')]
  if (undecided > 0) return ['open', '?', `No regret seen, ${number(undecided)} undecided`]
  return ['good', '✓', wouldReap > 0 ? 'No regret' : 'Ends no session']
}

function explain({ wouldReap, regretted, undecided }: PolicyResult): string {
  const unused = wouldReap - regretted - undecided
  const fates = [
    `${number(regretted)} of them were used again later`,
    `${number(unused)} ended by themselves, unused`,
    `${number(undecided)} ${undecided === 1 ? 'is' : 'are'} undecided`,
  ]
  return wouldReap === 0
    ? 'It would have ended no session of this recording.'
    : `It would have ended ${counted(wouldReap, 'session')}: ${fates.join('; ')}.`
}

/** Which policy is the choice, or what to do instead. */
export function choice(policies: PolicyResult[]): string {
  if (policies.length === 0) {
    return 'No policy was replayed. This page shows what each pool needs. To see what a policy would do, add --policy FILE. To get a policy that has no regret here, use --suggest.'
  }
  const safe = policies
    .map((policy, index) => ({ policy, index }))
    .filter(({ policy: { regretted, wouldReap } }) => regretted === 0 && wouldReap > 0)
    .sort((a, b) => a.policy.meanUsedPercent.replayed - b.policy.meanUsedPercent.replayed)
  const [best] = safe
  if (best === undefined) {
    return 'No policy here ends sessions without a regret. “What each pool needs” has the smallest age that regrets nothing in each pool.'
  }
  const { meanUsedPercent, undecided } = best.policy
  const name = letter(best.index)
  const letters = safe.map(({ index }) => letter(index)).sort()
  const [have, freest] =
    safe.length > 1
      ? [`${letters.join(', ')} have`, ` Of these, ${name} leaves the most slots free.`]
      : [`${name} has`, '']
  const open =
    undecided > 0
      ? ` ${counted(undecided, 'session')} that ${name} would have ended ${undecided === 1 ? 'is' : 'are'} undecided: a longer recording may tell.`
      : ''
  return `${have} no regret in this recording.${freest} With ${name}, ${meanUsedPercent.replayed} % of the slots are used on average, instead of ${meanUsedPercent.recorded} %.${open}`
}

const ROWS: [head: string, recorded: Value | undefined, replayed: Value][] = [
  ['sessions it would end', undefined, ({ wouldReap }) => wouldReap],
  ['… used again: regretted', undefined, ({ regretted }) => regretted],
  ['… undecided', undefined, ({ undecided }) => undecided],
  [
    '… ended by themselves, unused',
    undefined,
    ({ wouldReap, regretted, undecided }) => wouldReap - regretted - undecided,
  ],
  [
    'slots used at most, %',
    ({ peakUsedPercent }) => peakUsedPercent.recorded,
    ({ peakUsedPercent }) => peakUsedPercent.replayed,
  ],
  [
    'slots used on average, %',
    ({ meanUsedPercent }) => meanUsedPercent.recorded,
    ({ meanUsedPercent }) => meanUsedPercent.replayed,
  ],
  [
    'minutes in which no slot was left',
    ({ fullMinutes }) => fullMinutes.recorded,
    ({ fullMinutes }) => fullMinutes.replayed,
  ],
]

type Value = (policy: PolicyResult) => number

/** The recording and the policies side by side. */
export function sideBySide(policies: PolicyResult[]): HTMLElement {
  const [first] = policies
  const head = ['as recorded', ...policies.map((_, index) => `with ${letter(index)}`)]
  const cell = (value: number | undefined) =>
    value === undefined
      ? element('td', { class: 'number' }, '–')
      : element('td', { class: 'number' }, element('data', { value: String(value) }, number(value)))
  const rows = ROWS.map(([name, recorded, replayed]) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, name),
      cell(first && recorded?.(first)),
      ...policies.map((policy) => cell(replayed(policy))),
    ),
  )
  const heads = head.map((name) => element('th', { scope: 'col', class: 'number' }, name))
  const corner = element('td')
  return element(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Side by side' },
    element(
      'table',
      { id: 'side-by-side' },
      element('thead', {}, element('tr', {}, corner, ...heads)),
      element('tbody', {}, ...rows),
    ),
  )
}
