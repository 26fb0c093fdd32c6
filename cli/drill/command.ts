import { Command } from 'commander'
import { INCIDENT } from '../../lambda/core/policy.ts'
import { printable, safeJson } from '../../lambda/core/text.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { readDuration } from '../duration.ts'
import { readText } from '../files.ts'
import { readPolicy } from '../policy-option.ts'
import { writeOut } from '../show.ts'
import { exitOnSignals } from '../signals.ts'

type Options = {
  url?: string
  user?: string
  database?: string
  setup?: string
  policy: string
  times: string
  patience: string
  idle: string
  inTransaction?: boolean
  restart?: boolean
  json?: boolean
  verbose?: boolean
}

/** The command `slotkeeper drill`. */
export function drillCommand(): Command {
  return new Command('drill')
    .summary('see whether an application survives the end of its idle sessions')
    .description(
      'Runs COMMAND with a disposable PostgreSQL, leaves it to idle, ends its idle sessions as the policy would, several times, and says whether it came back. COMMAND finds the server in DATABASE_URL and in the PG* variables. Leaves nothing behind.',
    )
    .argument('<command...>', 'the application, or a part of it that works by itself; after --')
    .option('--setup <file>', 'SQL to run first, for example the tables of the application')
    .option(
      '--policy <file>',
      'a policy file (JSON), or the name of the built-in policy, "incident"',
      INCIDENT,
    )
    .option('--times <number>', 'how often to end the idle sessions', '3')
    .option('--patience <duration>', 'how long the application may take to come back', '10s')
    .option(
      '--idle <duration>',
      'end sessions that are idle for this long; longer ages in the policy count as this',
      '1s',
    )
    .option('--in-transaction', 'also end sessions that are idle in a transaction')
    .option('--restart', 'then restart the server once; not with --url')
    .option(
      '--url <url>',
      'use this server instead of a disposable one; only sessions that COMMAND opens are ended',
    )
    .option('--user <name>', "the application's role on the disposable server (default: app)")
    .option(
      '--database <name>',
      "the application's database on the disposable server (default: app)",
    )
    .option('--json', 'print the result as JSON')
    .option('--verbose', 'print what COMMAND writes, and the stack trace of an error')
    .addHelpText(
      'after',
      `
Examples:
  slotkeeper drill -- node server.js
  slotkeeper drill --setup schema.sql --in-transaction --restart -- php artisan queue:work
  slotkeeper drill -- sh -c 'JDBC_URL="jdbc:postgresql://$PGHOST:$PGPORT/$PGDATABASE" exec java -jar app.jar'`,
    )
    .action(async (command: [string, ...string[]], options: Options) => {
      process.exitCode = await runDrill(command, options)
    })
}

async function runDrill(command: [string, ...string[]], options: Options): Promise<number> {
  const { url, user, database, setup, inTransaction, restart, json, verbose } = options
  const order = {
    command,
    url,
    user,
    database,
    inTransaction,
    restart,
    policy: readPolicy(options.policy),
    times: readTimes(options.times),
    patienceMs: readDuration('--patience', options.patience),
    idleMs: readDuration('--idle', options.idle),
    setup: setup === undefined ? undefined : { file: setup, sql: readText('--setup', setup) },
  }
  const { drill } = await import('./drill.ts')
  const restoreSignals = exitOnSignals()
  const started = performance.now()
  const tell = (text: string) =>
    process.stderr.write(
      `${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${printable(text)}\n`,
    )
  const show = (line: string) => {
    if (verbose) process.stderr.write(`          | ${printable(line)}\n`)
  }
  try {
    const result = await drill({ ...order, tell, show })
    if (json) {
      writeOut(safeJson({ policy: options.policy, ...result }))
    } else {
      const { showDrill } = await import('./show.ts')
      writeOut(showDrill(result, options.policy))
    }
    return result.survived ? 0 : 1
  } finally {
    restoreSignals()
  }
}

function readTimes(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text)
  throw new SlotkeeperError(
    'settings',
    `--times: found ${JSON.stringify(text)}; expected a whole number from 1 to 999`,
  )
}
