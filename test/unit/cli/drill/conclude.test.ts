import { expect, test } from 'vitest'
import { conclude, type Facts } from '../../../../cli/drill/conclude.ts'
import { cut } from '../../../support/drill.ts'

const exit = (code: number) => ({ code, signal: null })
const killed = { code: null, signal: 'SIGSEGV' } as const
const absent = cut({ cameBackMs: null, newSessions: 0 })

test.each<[string, Partial<Facts>, boolean, boolean, string]>([
  ['came back', { cuts: [cut()] }, true, true, 'It survived: it came back once, after 12 ms.'],
  [
    'came back each time',
    { cuts: [cut(), cut({ cameBackMs: 1_234 })] },
    true,
    true,
    'It survived: it came back 2 times, after 1.2 s at most.',
  ],
  [
    'ended well after it came back',
    { cuts: [cut()], process: exit(0), stoppedBecause: 'it ended' },
    true,
    true,
    'Then it ended by itself, with exit code 0.',
  ],
  [
    'failed after it came back',
    { cuts: [cut()], process: exit(2), stoppedBecause: 'it ended' },
    false,
    false,
    'it came back, but its process ended later (exit code 2)',
  ],
  [
    'failed after the last cut',
    { cuts: [cut({ process: exit(1) })], process: exit(1) },
    false,
    false,
    'it came back, but its process ended later (exit code 1)',
  ],
  [
    'ended with its sessions',
    { cuts: [cut(), { ...absent, process: killed }], process: killed },
    false,
    false,
    'its process ended (signal SIGSEGV) when its sessions ended',
  ],
  [
    'ended with the server',
    { cuts: [cut(), { ...absent, by: 'restart', process: exit(1) }], process: exit(1) },
    false,
    false,
    'its process ended (exit code 1) when the server restarted',
  ],
  [
    'ended well without a query',
    { cuts: [{ ...absent, process: exit(0) }], process: exit(0) },
    false,
    false,
    'If its work was done, give it more',
  ],
  ['did not come back', { cuts: [absent] }, true, false, 'Perhaps nobody asked it to'],
  [
    'did not come back the first time',
    { cuts: [absent, cut()] },
    true,
    false,
    'It did not come back: it opened no session within 10 s',
  ],
  [
    'opened sessions and used none',
    { cuts: [{ ...absent, newSessions: 2 }] },
    true,
    false,
    'it opened 2 new sessions, and ran no query within 10 s',
  ],
  [
    'nothing to end',
    { cuts: [], stoppedBecause: 'nothing to end: x' },
    true,
    false,
    'The drill shows nothing: nothing to end: x.',
  ],
  [
    'nothing more to end',
    { cuts: [cut()], stoppedBecause: 'nothing to end: x' },
    true,
    false,
    'The drill shows nothing more: nothing to end: x.',
  ],
])('%s', (_, facts, lived, survived, words) => {
  const whole = { cuts: [], process: null, stoppedBecause: null, patienceMs: 10_000, ...facts }
  const result = conclude(whole)
  expect(result).toMatchObject({ lived, survived })
  expect(result.conclusion).toContain(words)
})
