import { describe, expect, test } from 'vitest'
import { CLIENT_LIBRARIES } from '../../../../cli/clients.ts'
import type { DrillResult } from '../../../../cli/drill/drill.ts'
import { showDrill } from '../../../../cli/drill/show.ts'
import { cut } from '../../../support/drill.ts'

const shown = (different: Partial<DrillResult>) =>
  showDrill(
    {
      command: ['node', 'x.js'],
      target: 'a disposable PostgreSQL',
      version: 180004,
      differences: [],
      cuts: [cut()],
      stoppedBecause: null,
      process: null,
      lastLines: [],
      library: CLIENT_LIBRARIES.find(({ id }) => id === 'node-postgres') ?? null,
      lived: true,
      survived: true,
      conclusion: 'It survived.',
      ...different,
    },
    'incident',
  )

const absent = cut({ cameBackMs: null, newSessions: 0, said: ['it says this'] })
const failed = { survived: false, conclusion: 'It did not come back.' }

test('an application that survived needs no help', () => {
  expect(shown({})).toBe(`drill of node x.js
policy "incident", on a disposable PostgreSQL 18.4

cut  ended  left  came back    new sessions  process
1        4     0  after 12 ms  1             runs

It survived.`)
})

describe('the result shows', () => {
  test.each<[string, Partial<DrillResult>, string]>([
    ['churn', { cuts: [cut({ churn: true, newSessions: 4 }), cut()] }, 'Churn: after 1 of 2 cuts'],
    ['churn in its row', { cuts: [cut({ churn: true, newSessions: 4 })] }, '4 (churn)'],
    [
      'transactions',
      { cuts: [cut({ endedInTransaction: 2 })] },
      '1    4 (2 in a transaction)     0',
    ],
    [
      'what the policy left',
      { cuts: [cut({ left: [{ sessions: 2, why: 'listens for notifications' }] })] },
      'Left: listens for notifications',
    ],
    [
      'what the server refused',
      { cuts: [cut({ refused: [{ sqlstate: '42501', message: 'permission denied' }] })] },
      'Refused: 42501 permission denied',
    ],
    ['what it wrote', { ...failed, cuts: [absent] }, '  | it says this'],
    ['what would help', { ...failed, cuts: [absent] }, 'Give the pool both listeners.'],
    ['general help', { ...failed, cuts: [absent], library: null }, 'Test a connection before'],
    [
      'help for a restart',
      { ...failed, cuts: [cut(), { ...absent, by: 'restart' }] },
      'try again with growing pauses',
    ],
    [
      'the output of an application that never connected',
      { ...failed, cuts: [], version: null, lastLines: ['no such host'] },
      '  | no such host',
    ],
    [
      'hostile text, made harmless',
      { ...failed, command: ['\u001b[2J'], cuts: [cut({ ...absent, said: ['\u001b]0;x'] })] },
      String.raw`  | \u001b]0;x`,
    ],
  ])('%s', (_, different, words) => {
    const text = shown(different)
    expect(text).toContain(words)
    expect(text).not.toContain('\u001b')
  })
})
