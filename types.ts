// Writes the type declarations for a CDK app: everything that infra/index.ts exports, once as ESM and once
// as CommonJS, because a CommonJS app can't import the declarations of ES modules.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const KINDS = { 'dist/types/import': 'module', 'dist/types/require': 'commonjs' }

/** The packages that the app itself has installed. */
const PEERS = /^(aws-cdk-lib|constructs)(\/|$)/

const emitted = mkdtempSync(join(tmpdir(), 'slotkeeper-types-'))
try {
  const options = ['--project', 'tsconfig.types.json', '--outDir', emitted]
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', ...options], {
    stdio: 'inherit',
  })
  rmSync('dist/types', { recursive: true, force: true })
  const published = reachable(join(emitted, 'infra'))
  for (const [folder, type] of Object.entries(KINDS)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }))
    for (const [file, text] of published) writeFileSync(join(folder, file), text)
  }
} finally {
  rmSync(emitted, { recursive: true, force: true })
}

/** The declarations of index.ts, and all that it imports, directly or through others. */
function reachable(folder: string): Map<string, string> {
  const found = new Map<string, string>()
  const add = (file: string) => {
    if (found.has(file)) return
    // tsc keeps the `.ts` endings of the imports. TypeScript before version 5 accepts only `.js`.
    const text = readFileSync(join(folder, file), 'utf8').replace(/(from '\.[^']*)\.ts'/g, "$1.js'")
    found.set(file, text)
    for (const [, path = ''] of text.matchAll(/from '([^']+)'/g)) {
      const [, name] = /^\.\/([\w-]+)\.js$/.exec(path) ?? []
      if (name) add(`${name}.d.ts`)
      else if (!PEERS.test(path))
        throw new Error(`infra/${file} imports ${path}, which a CDK app does not have`)
    }
  }
  add('index.d.ts')
  return found
}
