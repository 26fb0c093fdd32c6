import type { Difference, PolicyResult, Replay } from '../result.ts'
import { MOST_LISTED } from '../result.ts'
import { dataTable } from './data-table.ts'
import { element } from './dom.ts'
import { letter, number, visible } from './format.ts'
import { gapsSection } from './gaps.ts'
import { slotsSection } from './slots.ts'
import { BY_HOUR, BY_POOL, BY_RULE, DIFFERENT, POOLS, REGRETS } from './tables.ts'
import { badge, choice, policyCards, recordedSentence, sideBySide } from './verdict.ts'

type Section = { id: string; title: string | Node; about?: string; content: Node[] }

const data = document.getElementById('replay')?.textContent ?? ''
show(JSON.parse(data) as Replay)

function show({ report, pictures }: Replay): void {
  const { policies, difference, pools, caveats } = report
  const sections: Section[] = [
    {
      id: 'verdict',
      title: 'Which policy is safe?',
      about: choice(policies),
      content: [
        element(
          'p',
          {},
          'Before you decide, read ',
          element('a', { href: '#caveats' }, 'what this recording does not show'),
          '.',
        ),
        ...(policies.length > 0 ? [policyCards(policies)] : []),
        element(
          'div',
          { class: 'overview' },
          ...(policies.length > 0 ? [sideBySide(policies)] : []),
          words(),
        ),
      ],
    },
    {
      id: 'slots',
      title: 'Slots over time',
      about: slotsAbout(policies),
      content: slotsSection(report, pictures.series),
    },
    {
      id: 'gaps',
      title: 'How long sessions were idle',
      about:
        'A gap is the time from when a session becomes idle to its next use or its end. Each line is the limit of a rule. The rule ends what lies to the right of it, unless something else in the policy spares it. What was used again and lies to the right is red: these are regrets. “At times” is a rule with a condition. Both scales are logarithmic: three gaps among thousands can be seen.',
      content: gapsSection(report, pictures.histograms),
    },
    {
      id: 'pools',
      title: 'What each pool needs',
      about:
        '“Safe olderThan” is the smallest age, rounded up, with which a rule for idle sessions has no regret in the pool. “Busy at once” is the most sessions that were busy in one snapshot: the pool needs at least so many slots, and at most those of “used at once”.',
      content: [dataTable('Pools', POOLS, pools)],
    },
    ...(difference ? [differenceSection(difference, policies)] : []),
    ...policies.map(policySection),
    {
      id: 'caveats',
      title: 'What this recording does not show',
      content: [element('ul', {}, ...caveats.map((text) => element('li', {}, visible(text))))],
    },
  ]
  const target = visible(report.target)
  document.title = `Replay of ${target}`
  document.body.replaceChildren(
    element(
      'header',
      {},
      element('h1', {}, `Replay of ${target}`),
      element('p', {}, recordedSentence(report)),
      element('nav', { 'aria-label': 'Parts of this page' }, linksTo(sections)),
    ),
    element('main', {}, ...sections.map(sectionOf)),
    element(
      'footer',
      {},
      'Made by slotkeeper replay. This file has everything that it shows, and loads nothing. All times are in UTC, by the clock of the server.',
    ),
  )
}

function sectionOf({ id, title, about, content }: Section): HTMLElement {
  const heading = `${id}-title`
  return element(
    'section',
    { id, 'aria-labelledby': heading },
    element('h2', { id: heading }, title),
    ...(about === undefined ? [] : [element('p', { class: 'about' }, about)]),
    ...content,
  )
}

function linksTo(sections: Section[]): HTMLElement {
  const links = sections.map(({ id, title }) => {
    const text = typeof title === 'string' ? title : (title.textContent ?? '')
    return element('li', {}, element('a', { href: `#${id}` }, text))
  })
  return element('ul', {}, ...links)
}

/** What the words of this page mean. */
function words(): HTMLElement {
  const meanings = [
    [
      'Regret',
      'the policy would have ended a session, and the same session was used again later. Its application would have met a broken connection.',
    ],
    [
      'Undecided',
      'the policy would have ended a session that was still idle when the recording ended, or when Slotkeeper ended it. Nobody knows whether it would have been used.',
    ],
    ['Slot', 'one of max_connections. Ordinary roles can’t take those that are reserved.'],
    ['Pool', 'the sessions of one role, database, application and client address.'],
  ]
  const rows = meanings.flatMap(([word = '', text = '']) => [
    element('dt', {}, word),
    element('dd', {}, text),
  ])
  return element('dl', { class: 'words' }, ...rows)
}

function slotsAbout(policies: PolicyResult[]): string {
  const ends =
    policies.length > 0
      ? ' Bars below it are the sessions that a policy ends at that time. A cross, and the red part of its bar, says that some of them are used again later: regrets.'
      : ''
  return `The line “as recorded” is what happened.${ends} Drag over the picture to see a part of the time. Move the slider to read the numbers of one moment.`
}

function differenceSection(difference: Difference, policies: PolicyResult[]): Section {
  const { both, onlyFirst, onlySecond, sessions } = difference
  const [first = '', second = ''] = policies.map(({ name }) => visible(name))
  const listed =
    sessions.length === MOST_LISTED
      ? ` Only ${number(MOST_LISTED)} of these sessions are listed.`
      : ''
  const counts = element(
    'p',
    { class: 'counts' },
    ...[
      ['both', both],
      ['only A', onlyFirst],
      ['only B', onlySecond],
    ].flatMap(([name, count]) => [
      `${name}: `,
      element('data', { value: String(count) }, number(Number(count))),
      ' ',
    ]),
  )
  return {
    id: 'difference',
    title: 'A and B compared, session by session',
    about: `A is ${first}, B is ${second}. A session that stays as it is until both have met it counts once.${listed}`,
    content: [
      counts,
      dataTable('Sessions that A, B or both would have ended', DIFFERENT, sessions),
    ],
  }
}

function policySection(policy: PolicyResult, index: number): Section {
  const { name, regrets, regretted, byPool, byRule, byHour } = policy
  const listed =
    regretted > regrets.length
      ? `Only the first ${number(regrets.length)} of ${number(regretted)} regrets are listed.`
      : undefined
  const title = element('span', {}, badge(index), ` ${visible(name)}`)
  const of = letter(index)
  return {
    id: `policy-${index}`,
    title,
    ...(listed !== undefined && { about: listed }),
    content: [
      dataTable(`Regrets of ${of}: ended, but used again later`, REGRETS, regrets),
      dataTable(`What ${of} ends, by pool and rule`, BY_POOL, byPool),
      element(
        'div',
        { class: 'pair' },
        dataTable(`What ${of} ends, by rule`, BY_RULE, Object.entries(byRule)),
        dataTable(`What ${of} ends, by hour of the day`, BY_HOUR, byHour),
      ),
    ],
  }
}
