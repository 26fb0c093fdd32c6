import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { publish } from '../../../bench/publish.ts'
import { dated, markdown } from '../../../bench/table.ts'

const reference = { processorMs: 4, forkMs: 0.16, roundTripMs: 0.05, endMs: 0.4 }

test('a published table stands in its document and in its JSON, with the reference', () => {
  const root = mkdtempSync(join(tmpdir(), 'slotkeeper-bench-'))
  mkdirSync(join(root, 'bench/results'), { recursive: true })
  cpSync('docs', join(root, 'docs'), { recursive: true })
  const table = { title: 'New', columns: ['N', 'ms'], rows: [[10, '5 (4–6)']], floorsMs: [0.5] }
  const result = dated(table, { before: reference, after: reference })
  publish(root, 'reap', result)
  const read = (file: string) => readFileSync(join(root, file), 'utf8')
  expect(JSON.parse(read('bench/results/reap.json'))).toEqual(result)
  expect(result.reference).toEqual({ before: reference, after: reference })
  expect(read('docs/speed.md')).toContain(`<!-- bench reap -->\n${markdown(result)}\n<!-- end -->`)
  expect(markdown(result)).toContain('| 10 | 5 (4–6) |\n\nThe machine before / after: ')
})

describe('the bench refuses wrong usage and measures nothing', () => {
  const bench = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['--import', 'tsx', 'bench/main.ts', ...args])

  test.each([
    [['reep'], "value 'reep' is invalid for argument 'names'. Allowed choices are reap, "],
    [['--publsh'], "unknown option '--publsh'"],
    [['reap', '--publish=all'], '--publish'],
  ])('%j', async (args, message) => {
    await expect(bench(...args)).rejects.toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(message),
    })
  })

  test('--help is no error', async () => {
    expect((await bench('--help')).stdout).toContain('--publish')
  })
})
