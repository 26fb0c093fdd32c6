import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BenchName, DOCUMENTS } from './documents.ts'
import { markdown, quote, type Result } from './table.ts'

/** Saves a result as JSON and writes its table into the document that has its marks. */
export function publish(root: string, name: BenchName, result: Result): void {
  const document = join(root, DOCUMENTS[name])
  const written = quote(readFileSync(document, 'utf8'), name, markdown(result))
  writeFileSync(join(root, 'bench/results', `${name}.json`), `${JSON.stringify(result, null, 2)}\n`)
  writeFileSync(document, written)
}
