import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { recordingCost } from '../../bench/recording-cost.ts'
import { FLAG, MOST_LINE_BYTES, STATES, VERSION, writeFrame } from '../../lambda/core/recording.ts'
import { session, snapshot } from '../support/session.ts'

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
const section = (read('docs/reference.md').split('## The recording')[1] ?? '').split('\n## ')[0]

test.each([50, 500, 5_000])(
  'docs/operations.md says what recording %d sessions costs, from lines as they are written',
  (sessions) => {
    const { bytes, usdMonth } = recordingCost(sessions)
    const told = [sessions, bytes].map((number) => number.toLocaleString('en-US'))
    expect(read('docs/operations.md')).toContain(`| ${told.join(' | ')} | ${usdMonth.toFixed(2)} |`)
  },
)

test('docs/operations.md says how many bytes a session takes', () => {
  const each = (recordingCost(500).bytes - recordingCost(0).bytes) / 500
  expect(read('docs/operations.md')).toContain(`about ${Math.round(each)} bytes for each session`)
  expect(each).toBeLessThan(50)
})

describe('docs/reference.md', () => {
  test('names every field of a line, and no other', () => {
    const one = { target: 'shop', snapshot: snapshot([session()]), reaped: new Set<string>() }
    const [line = '{}'] = writeFrame(one)
    const named = [...(section ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(named.sort()).toEqual([...Object.keys(JSON.parse(line)), 'part'].sort())
  })

  test('has the version, the states, the flags and the limit', () => {
    expect(section).toContain(`the version of the format: ${VERSION}.`)
    expect(section?.replace(/\s+/g, ' ')).toContain(
      STATES.map((state) => `\`${state}\``).join(', '),
    )
    expect(section).toContain(`at most ${MOST_LINE_BYTES.toLocaleString('en-US')} bytes`)
    const flags = /`flags` is a sum: ([\s\S]*?)\n- /.exec(section ?? '')?.[1] ?? ''
    const numbers = (flags.match(/\b\d+\b/g) ?? []).map(Number)
    expect(numbers.sort()).toEqual([...Object.values(FLAG)].sort())
  })
})
