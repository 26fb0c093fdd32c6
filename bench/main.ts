// Measures again what the documents say about speed, safety and cost: npm run bench, or
// npm run bench -- NAME. It prints each table with the speed of the machine before and after it. With
// --publish, it also writes a table that was measured on a quiet machine into results/ and the documents.
import { fileURLToPath } from 'node:url'
import { Argument, Command, CommanderError } from 'commander'
import type { BenchName } from './documents.ts'
import { noiseOf, publication } from './noise.ts'
import { publish } from './publish.ts'
import { startReference } from './reference.ts'
import { dated, markdown, type Table } from './table.ts'

const EXIT_NOT_PUBLISHED = 1
const EXIT_USAGE = 2
const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Each is loaded only if it is asked for. */
const benches: Record<BenchName, () => Promise<Table>> = {
  reap: async () => (await import('./reap.ts')).reap(),
  quiet: async () => (await import('./quiet.ts')).quiet(),
  start: async () => (await import('./start.ts')).start(),
  lambda: async () => (await import('./lambda.ts')).lambda(),
  profile: async () => (await import('./profile.ts')).profile(),
  cost: async () => (await import('./cost.ts')).cost(),
  scale: async () => (await import('./scale.ts')).scale(),
  wrongful: async () => (await import('./wrongful.ts')).wrongful(),
  replay: async () => (await import('./replay.ts')).replay(),
  fleet: async () => (await import('./fleet.ts')).fleet(),
}
const NAMES = Object.keys(benches) as BenchName[]

const program = new Command('bench')
  .description('Measures what the documents say about speed, safety and cost.')
  .addArgument(new Argument('[names...]', 'the tables to measure (default: all)').choices(NAMES))
  .option(
    '--publish',
    'write the tables into bench/results and the documents, unless they are noisy',
  )
  .exitOverride()
  .addHelpText(
    'after',
    '\nExit codes: 0 success; 1 failed, or a table was to be published and was not; 2 wrong usage.',
  )
  .action(measure)

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Commander has already printed its own line. It throws for --help too.
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE
}

async function measure(names: BenchName[], options: { publish?: true }): Promise<void> {
  const reference = await startReference()
  try {
    for (const name of NAMES) {
      if (names.length > 0 && !names.includes(name)) continue
      const said = await measureOne(name, options.publish === true, reference)
      if (options.publish && said !== 'published') process.exitCode = EXIT_NOT_PUBLISHED
    }
  } finally {
    await reference.stop()
  }
}

async function measureOne(
  name: BenchName,
  asked: boolean,
  reference: Awaited<ReturnType<typeof startReference>>,
): Promise<string> {
  const before = await reference.measure()
  const started = performance.now()
  const table = await benches[name]()
  const seconds = Math.round((performance.now() - started) / 1000)
  const after = await reference.measure()
  const result = dated(table, { before, after })
  const noise = noiseOf(before, after, table.floorsMs)
  const { publish: mayPublish, said } = publication(asked, noise, table.flaw)
  if (mayPublish) publish(ROOT, name, result)
  process.stdout.write(`\n${markdown(result)}\n\n${name}, measured in ${seconds} s: ${said}\n`)
  return said
}
