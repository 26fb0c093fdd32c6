// Measures again what the documents say about speed and safety: npm run bench, or npm run bench -- NAME.
// It prints each table, saves it as JSON in results/, and writes it into the document that has its marks.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cost } from './cost.ts'
import { type BenchName, DOCUMENTS } from './documents.ts'
import { fleet } from './fleet.ts'
import { profile } from './profile.ts'
import { quiet } from './quiet.ts'
import { reap } from './reap.ts'
import { scale } from './scale.ts'
import { start } from './start.ts'
import { dated, markdown, quote, type Table } from './table.ts'
import { wrongful } from './wrongful.ts'

const benches: Record<BenchName, () => Promise<Table>> = {
  reap,
  quiet,
  start,
  profile,
  cost,
  fleet,
  scale,
  wrongful,
}

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const asked = process.argv.slice(2)
const unknown = asked.find((name) => !(name in benches))
if (unknown !== undefined) {
  process.stderr.write(
    `bench: unknown benchmark "${unknown}"; expected ${Object.keys(benches).join(', ')}\n`,
  )
  process.exit(2)
}
for (const [name, measure] of Object.entries(benches)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const result = dated(await measure())
  const table = markdown(result)
  process.stdout.write(`\n${table}\n`)
  writeFileSync(file(`results/${name}.json`), `${JSON.stringify(result, null, 2)}\n`)
  const document = file(`../${DOCUMENTS[name as BenchName]}`)
  writeFileSync(document, quote(readFileSync(document, 'utf8'), name, table))
}
