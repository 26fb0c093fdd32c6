import { execSync } from 'node:child_process'
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'

// A checkout as a developer has it who changes the code and deploys.
const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-checkout-'))
afterAll(() => rmSync(folder, { recursive: true }))
for (const name of [
  'lambda',
  'infra',
  'cli',
  'scripts',
  'stand-ins',
  'build.ts',
  'package.json',
  'cdk.json',
]) {
  cpSync(name, join(folder, name), { recursive: true })
}
symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))

/** Runs what the CDK's command line runs; gives the code of all functions that would be deployed. */
function synthesize(): string {
  const { app, context } = JSON.parse(readFileSync(join(folder, 'cdk.json'), 'utf8'))
  const outdir = join(folder, 'cdk.out')
  rmSync(outdir, { recursive: true, force: true })
  execSync(app, {
    cwd: folder,
    stdio: 'pipe',
    env: {
      ...process.env,
      PATH: `${resolve('node_modules/.bin')}:${process.env.PATH}`,
      CDK_CONTEXT_JSON: JSON.stringify(context),
      CDK_OUTDIR: outdir,
    },
  })
  return readdirSync(outdir, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.mjs'))
    .map((file) => readFileSync(join(outdir, file), 'utf8'))
    .join('\n')
}

test('cdk synth builds the function from the current sources', () => {
  expect(synthesize()).toContain('sweep failed')
  const handler = join(folder, 'lambda/handler.ts')
  writeFileSync(
    handler,
    readFileSync(handler, 'utf8').replaceAll("'sweep failed'", "'sweep failed, edited'"),
  )
  expect(synthesize()).toContain('sweep failed, edited')
  writeFileSync(handler, 'an edit that does not compile')
  expect(synthesize).toThrow()
}, 60_000)
