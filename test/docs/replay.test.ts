import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createReplayer } from '../../cli/replay/replay.ts'
import { MOST_LISTED } from '../../cli/replay/result.ts'
import { frames } from '../support/frames.ts'
import { policy } from '../support/session.ts'

const section = readFileSync('docs/reference.md', 'utf8')
  .split('## The replay')[1]
  ?.split('\n## ')[0]

/** The keys of a value and of all that it contains, except the names of rules. */
function keysIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(keysIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => [
    key,
    ...(key === 'byRule' ? [] : keysIn(inner)),
  ])
}

test('docs/reference.md names every field of the result of a replay', () => {
  const one = policy({ rules: [{ name: 'stale', state: 'idle', olderThan: '5m' }] })
  const replayer = createReplayer([
    { name: 'a', policy: one },
    { name: 'b', policy: one },
  ])
  for (const frame of frames(60, 900, [{ pid: 2, opens: 0, uses: [500] }])) replayer.add(frame)
  const { report } = replayer.end()
  const fields = new Set(keysIn(report))
  expect(fields.size).toBeGreaterThan(40)
  for (const field of fields) expect(section).toContain(`\`${field}\``)
  expect(section).toContain(`at most ${MOST_LISTED.toLocaleString('en-US')}`.replace('at', 'At'))
})
