#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { printable, safeJson } from '../lambda/core/text.ts'
import { type Kind, messageOf, SlotkeeperError } from '../lambda/errors.ts'
import { doctorCommand } from './doctor/command.ts'
import { drillCommand } from './drill/command.ts'
import { EXIT_REFUSED, EXIT_USAGE, exitCodes } from './exit-codes.ts'
import { grantsCommand } from './grants.ts'
import { guardOutput } from './output.ts'
import { recordCommand } from './record/command.ts'
import { rehearseCommand } from './rehearse/command.ts'
import { replayCommand } from './replay/command.ts'
import { writeOut } from './show.ts'
import { sweepCommand } from './sweep.ts'
import { targetsCommand } from './targets/command.ts'
import { watchCommand } from './watch/command.ts'

guardOutput(EXIT_REFUSED)
// On Node.js 20 the SDK warns that a later version will need 22. The warning is for the maintainers of this
// package, not for its users. The SDK's own variable hides this warning only.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'

const program = new Command('slotkeeper')
  .description(
    'Keeps the connection slots of managed PostgreSQL free: ends idle sessions by a written policy.',
  )
  .version(readVersion())
  .exitOverride()
  .showSuggestionAfterError()
  .addHelpText(
    'after',
    `
Try it without a server:  slotkeeper rehearse
Look at your server:      slotkeeper sweep --url postgres://USER:PASSWORD@HOST:5432/DATABASE
Help for one command:     slotkeeper sweep --help

Exit codes: 0 success; 1 failed, or the server refused to end a session;
2 wrong usage or settings; 3 could not connect or log in to the server.`,
  )

for (const command of [
  sweepCommand(),
  doctorCommand(),
  watchCommand(),
  recordCommand(),
  replayCommand(),
  drillCommand(),
  grantsCommand(),
  targetsCommand(),
  rehearseCommand(),
]) {
  // A command that is added, unlike one that is made by the program, does not inherit these.
  program.addCommand(command.copyInheritedSettings(program))
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = fail(error)
}

/** Reads `package.json`. Both this source file and its built form are one folder below it. */
function readVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

/** Prints one line on stderr, and with `--json` the same as JSON on stdout. Returns the exit code. */
function fail(error: unknown): number {
  // Commander throws for --help and --version too.
  if (error instanceof CommanderError && error.exitCode === 0) return 0
  const message = messageOf(error)
  if (isGiven('--json')) {
    writeOut(safeJson({ error: { kind: kindOf(error), message: message.replace(/^error: /, '') } }))
  }
  // Commander has already printed its own line.
  if (error instanceof CommanderError) return EXIT_USAGE
  process.stderr.write(`slotkeeper: ${printable(message)}\n`)
  if (isGiven('--verbose')) writeStacks(error)
  return error instanceof SlotkeeperError ? exitCodes[error.kind] : EXIT_REFUSED
}

/** Whether an option is given. What follows `--` is not ours: it is the command that `drill` runs. */
function isGiven(option: string): boolean {
  const end = process.argv.indexOf('--')
  return process.argv.slice(0, end < 0 ? undefined : end).includes(option)
}

function kindOf(error: unknown): Kind {
  if (error instanceof SlotkeeperError) return error.kind
  // The function uses the same kind for an error that no code expects.
  return error instanceof CommanderError ? 'settings' : 'unexpected'
}

function writeStacks(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
  if (error instanceof Error && error.cause instanceof Error)
    process.stderr.write(`${error.cause.stack}\n`)
}
