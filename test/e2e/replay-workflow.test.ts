import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { writeFrame } from '../../lambda/core/recording.ts'
import { EXAMPLE_KEYS, startAws } from '../../stand-ins/aws.ts'
import { frames, START_MS } from '../support/frames.ts'

const workflow = readFileSync('examples/github/replay-policy.yml', 'utf8')

/** The scripts of its steps, without their indentation. */
const scripts = [...workflow.matchAll(/^( +)run: \|\n((?:\1 {2}.*\n)+)/gm)].map(
  ([, indent = '', script = '']) => script.replaceAll(`\n${indent}  `, '\n').trim(),
)
const variable = (name: string) => new RegExp(`^ +${name}: (.+)$`, 'm').exec(workflow)?.[1] ?? ''

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-workflow-'))
afterAll(() => rmSync(folder, { recursive: true }))
const aws = await startAws({})
afterAll(() => aws.close())

// An installed package: `npx slotkeeper` runs its command.
const bin = join(folder, 'bin')
mkdirSync(bin)
writeFileSync(
  join(bin, 'npx'),
  `#!/bin/sh\nshift\nexec "${process.execPath}" "${resolve('dist/cli.mjs')}" "$@"\n`,
)
chmodSync(join(bin, 'npx'), 0o755)

/** Used again after 11 minutes, and never after that. */
const recorded = frames(60, 3_600, [{ pid: 2, opens: 0, uses: [700] }]).flatMap(writeFrame)
const hourAgo = Date.now() - 7_200_000
aws.logGroups.set(
  variable('LOG_GROUP'),
  recorded.map((message, index) => ({ timestamp: hourAgo + index * 60_000, message })),
)

/** Runs a step as GitHub does (`shell: bash` is not given, so without pipefail). */
function step(script: string): Promise<number> {
  return new Promise((done) => {
    const env = {
      ...EXAMPLE_KEYS,
      AWS_ENDPOINT_URL: aws.url,
      PATH: `${bin}:${process.env.PATH}`,
      POLICY: variable('POLICY'),
      LOG_GROUP: variable('LOG_GROUP'),
      GITHUB_STEP_SUMMARY: join(folder, 'summary.md'),
    }
    const child = execFile('bash', ['-e', '-c', script], { cwd: folder, env }, () =>
      done(child.exitCode ?? -1),
    )
  })
}

test.each([
  ['15m', 0],
  ['10m', 1],
])('a pull request with olderThan %s: exit %i', async (olderThan, expected) => {
  expect(START_MS).toBeLessThan(hourAgo)
  const policy = variable('POLICY')
  expect(workflow).toContain(`paths: [${policy}]`)
  mkdirSync(join(folder, policy, '..'), { recursive: true })
  const rules = [{ name: 'stale', state: 'idle', olderThan }]
  writeFileSync(join(folder, policy), JSON.stringify({ rules }))
  rmSync(join(folder, 'summary.md'), { force: true })

  const [replay = '', show = ''] = scripts
  expect(await step(replay)).toBe(expected)
  expect(await step(show)).toBe(0)
  const summary = readFileSync(join(folder, 'summary.md'), 'utf8')
  expect(summary).toContain(`${policy} would have ended ${1 + expected} session`)
  expect(summary).toMatch(/^```\n[\s\S]*\n```\n$/)
})
