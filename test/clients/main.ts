// Runs real clients while their idle sessions are ended, and writes the table of docs/clients.md.
//   npm run clients                     all of them; installs what they need (as root: Debian's packages)
//   npm run clients -- npm Laravel      those of a runtime, or whose name begins so
//   npm run clients -- --check npm php  compares with the page instead of writing it
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../../lambda/errors.ts'
import { CLIENTS, type Client, type Runtime } from './clients.ts'
import { install, obstacle, versionOf } from './install.ts'
import { outcomeOf } from './outcome.ts'
import { promised, type Row, showNotRun, showRow, withRows } from './page.ts'
import { run } from './run.ts'

/** Each case has a server of its own, and waits most of the time. */
const AT_ONCE = 3
const PAGE = fileURLToPath(new URL('../../docs/clients.md', import.meta.url))

const [check, names] = readArguments(process.argv.slice(2))
const clients = CLIENTS.filter(({ name, runtime }) => isAsked(names, name, runtime))
const page = readFileSync(PAGE, 'utf8')
install(clients)
const rows = new Map<string, string>()
let faults = 0
const waiting = [...clients]
await Promise.all(Array.from({ length: AT_ONCE }, work))
if (!check) {
  writeFileSync(
    PAGE,
    withRows(
      page,
      rows,
      CLIENTS.map(({ name }) => name),
    ),
  )
}
process.stdout.write(
  `\n${rows.size} of ${clients.length} clients${faults > 0 ? `, ${faults} faults` : ''}\n`,
)
process.exitCode = faults > 0 ? 1 : 0

function readArguments(args: string[]): [boolean, string[]] {
  const asked = args.filter((argument) => argument !== '--check')
  const unknown = asked.find(
    (name) => !CLIENTS.some((client) => isAsked([name], client.name, client.runtime)),
  )
  if (unknown !== undefined) {
    process.stderr.write(
      `clients: unknown client ${JSON.stringify(unknown)}; expected the beginning of ${CLIENTS.map(({ name }) => name).join('; ')}; or a runtime: ${[...new Set(CLIENTS.map(({ runtime }) => runtime))].join(', ')}\n`,
    )
    process.exit(2)
  }
  return [args.includes('--check'), asked]
}

function isAsked(asked: string[], name: string, runtime: Runtime): boolean {
  return (
    asked.length === 0 ||
    asked.some((word) => word === runtime || name.toLowerCase().startsWith(word.toLowerCase()))
  )
}

async function work(): Promise<void> {
  for (let client = waiting.shift(); client; client = waiting.shift()) {
    try {
      await take(client)
    } catch (error) {
      faults++
      process.stderr.write(`clients: ${client.name}: ${messageOf(error)}\n`)
    }
  }
}

async function take(client: Client): Promise<void> {
  const why = obstacle(client)
  if (why !== undefined) {
    // To a check, what is not run has not passed.
    if (check) faults++
    return print(client, showNotRun(client, why))
  }
  const row: Row = {
    client,
    version: versionOf(client),
    asItComes: await run(client, 'off'),
    ...(client.hasSetting ? { with: await run(client, 'on') } : {}),
  }
  print(client, showRow(row))
  if (check) compare(row)
}

function print({ name }: Client, row: string): void {
  rows.set(name, row)
  process.stdout.write(`${row}\n`)
}

function compare({ client, asItComes, with: helped }: Row): void {
  const seen = [asItComes, ...(helped ? [helped] : [])].map(outcomeOf).join(', ')
  const expected = promised(page, client)?.join(', ')
  if (seen === expected) return
  faults++
  process.stderr.write(`clients: ${client.name}: docs/clients.md says ${expected}; seen: ${seen}\n`)
}
