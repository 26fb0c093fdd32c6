#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { printable, safeJson } from '../lambda/core/text.ts'
import { type Kind, messageOf, SlotkeeperError } from '../lambda/errors.ts'
import { type GrantsOptions, runGrants } from './grants.ts'
import { guardOutput } from './output.ts'
import { rehearse } from './rehearse/rehearse.ts'
import { writeOut } from './show.ts'
import { runSweep, type SweepOptions } from './sweep.ts'

const EXIT_REFUSED = 1
const EXIT_USAGE = 2
const EXIT_NO_CONNECTION = 3

const exitCodes: Record<Kind, number> = {
  settings: EXIT_USAGE,
  credentials: EXIT_NO_CONNECTION,
  authentication: EXIT_NO_CONNECTION,
  forbidden: EXIT_NO_CONNECTION,
  exhausted: EXIT_NO_CONNECTION,
  limited: EXIT_NO_CONNECTION,
  unreachable: EXIT_NO_CONNECTION,
  tls: EXIT_NO_CONNECTION,
  blind: EXIT_REFUSED,
  rights: EXIT_REFUSED,
  query: EXIT_REFUSED,
  unexpected: EXIT_REFUSED,
  publish: EXIT_REFUSED,
}

guardOutput(EXIT_REFUSED)
// The SDK warns on Node.js 20 that a later version will want 22. That is for this package's maintainers, not for
// its users. The switch is the SDK's own, and hides this warning alone.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'

const program = new Command('slotkeeper')
  .description('Keeps the connection slots of managed PostgreSQL free.')
  .version(readVersion())
  .exitOverride()
  .showSuggestionAfterError()

withServer(program.command('sweep'))
  .description('one sweep: look, decide by the policy, report, and reap where --reap is given')
  .option(
    '--policy <file>',
    'the policy, as JSON; or incident: idle over 30 s, and all idle beyond 5. Default: incident',
  )
  .option('--observe', 'look and decide, but reap nobody (default)')
  .option('--reap', 'end whom the policy condemns; needs --policy')
  .option('--all', 'list every session, where else those of a pool are one line')
  .option('--json', 'print the report as JSON')
  .action(async (options: SweepOptions) => {
    process.exitCode = await runSweep(options)
  })

withServer(program.command('grants'))
  .description("print the SQL that makes the least role for this server's version")
  .option('--role <name>', 'the role to make', 'slotkeeper')
  .option('--iam', 'the role logs in with IAM tokens')
  .action(async (options: GrantsOptions) => {
    process.exitCode = await runGrants(options)
  })

program
  .command('rehearse')
  .description('the incident and its end, on a disposable real PostgreSQL')
  .option('--verbose', 'print the stack of an error')
  .action(async () => {
    process.exitCode = await rehearse()
  })

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = fail(error)
}

/** The options of every verb that connects with a server. */
function withServer(command: Command): Command {
  return command
    .option('--url <url>', 'the server; default: DATABASE_URL, or the PG* variables')
    .option('--secret-arn <arn>', 'take the credentials from a Secrets Manager secret')
    .option('--verbose', 'print the stack of an error')
}

/** Of `package.json`; one level below it stand both the sources of this file and its built form. */
function readVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

/** One readable line on stderr, the same for programs on stdout under `--json`, and the exit code. */
function fail(error: unknown): number {
  // Asking for help is no error.
  if (error instanceof CommanderError && error.exitCode === 0) return 0
  const message = messageOf(error)
  if (process.argv.includes('--json')) {
    writeOut(safeJson({ error: { kind: kindOf(error), message: message.replace(/^error: /, '') } }))
  }
  // Commander has printed its own line.
  if (error instanceof CommanderError) return EXIT_USAGE
  process.stderr.write(`slotkeeper: ${printable(message)}\n`)
  if (process.argv.includes('--verbose')) writeStacks(error)
  return error instanceof SlotkeeperError ? exitCodes[error.kind] : EXIT_REFUSED
}

function kindOf(error: unknown): Kind {
  if (error instanceof SlotkeeperError) return error.kind
  // As the function calls what nobody has foreseen.
  return error instanceof CommanderError ? 'settings' : 'unexpected'
}

function writeStacks(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
  if (error instanceof Error && error.cause instanceof Error)
    process.stderr.write(`${error.cause.stack}\n`)
}
