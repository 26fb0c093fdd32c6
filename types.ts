// Writes the declarations that a CDK app compiles against: what infra/ exports, once for each kind of
// module. A CommonJS app may not import declarations of ES modules.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const KINDS = { 'dist/types/import': 'module', 'dist/types/require': 'commonjs' }

const emitted = mkdtempSync(join(tmpdir(), 'slotkeeper-types-'))
try {
  const options = ['--project', 'tsconfig.types.json', '--outDir', emitted]
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', ...options], {
    stdio: 'inherit',
  })
  rmSync('dist/types', { recursive: true, force: true })
  for (const [folder, type] of Object.entries(KINDS)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }))
    for (const file of readdirSync(join(emitted, 'infra'))) {
      writeFileSync(join(folder, file), published(join(emitted, 'infra', file)))
    }
  }
} finally {
  rmSync(emitted, { recursive: true, force: true })
}

/** tsc leaves the endings of imports as the sources have them; compilers before 5 know `.js` alone. */
function published(file: string): string {
  const text = readFileSync(file, 'utf8').replaceAll(/(from '\.[^']*)\.ts'/g, "$1.js'")
  const outside = /from '(\.\.\/[^']*)'/.exec(text)?.[1]
  if (outside)
    throw new Error(`${file}: ${outside} is not in the package; write the type in infra/`)
  return text
}
