#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { printable } from '../lambda/core/text.ts'
import { type Kind, messageOf, SlotkeeperError } from '../lambda/errors.ts'
import { type GrantsOptions, runGrants } from './grants.ts'
import { guardOutput } from './output.ts'
import { rehearse } from './rehearse/rehearse.ts'
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
  publish: EXIT_REFUSED,
}

guardOutput(EXIT_REFUSED)
// The SDK warns on Node.js 20 that a later version will want 22. That is for this package's maintainers, not for
// its users. The switch is the SDK's own, and hides this warning alone.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'

const program = new Command('slotkeeper')
  .description('Keeps the connection slots of managed PostgreSQL free.')
  .exitOverride()
  .showSuggestionAfterError()

withServer(program.command('sweep'))
  .description('one sweep: look, decide by the policy, reap, report')
  .option('--policy <file>', 'the policy, as JSON; default: idle over 30 s, all idle beyond 5')
  .option('--observe', 'look and decide, but reap nobody')
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

/** One readable line on stderr, and the exit code. */
function fail(error: unknown): number {
  // Commander has printed its own line; asking for help is no error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
  process.stderr.write(`slotkeeper: ${printable(messageOf(error))}\n`)
  if (process.argv.includes('--verbose')) {
    process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
    if (error instanceof Error && error.cause instanceof Error)
      process.stderr.write(`${error.cause.stack}\n`)
  }
  return error instanceof SlotkeeperError ? exitCodes[error.kind] : EXIT_REFUSED
}
