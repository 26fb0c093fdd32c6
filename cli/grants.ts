import { Command } from 'commander'
import { type Bounds, parseBoundsText } from '../lambda/core/bounds.ts'
import { MOST_NAME_BYTES } from '../lambda/core/names.ts'
import { printable } from '../lambda/core/text.ts'
import { SlotkeeperError } from '../lambda/errors.ts'
import { changesOf, readBounded } from '../lambda/postgres/bounds.ts'
import { connect, type Link } from '../lambda/postgres/connect.ts'
import { inEitherDatabase } from '../lambda/postgres/gate.ts'
import { createRole, grants, readServerKind } from '../lambda/postgres/role.ts'
import { readConnection, type Source } from './connection.ts'
import { readText } from './files.ts'
import { withServer } from './server-options.ts'
import { writeOut } from './show.ts'

const CONNECT_MS = 5_000

type GrantsOptions = Source & { role: string; iam?: boolean; bounds?: string }

/** The command `slotkeeper grants`. */
export function grantsCommand(): Command {
  return withServer(new Command('grants'))
    .summary('print the SQL that creates the database role')
    .description(
      'Connects to the server, and prints the SQL that creates a role with the least privileges that Slotkeeper needs there. Runs none of this SQL: review it, then run it as an administrator.',
    )
    .option('--role <name>', 'the role to create', 'slotkeeper')
    .option('--iam', 'let the role log in with IAM tokens (default: with a password)')
    .option(
      '--bounds <file>',
      'also print the SQL for these bounds of application roles, a JSON file',
    )
    .addHelpText(
      'after',
      `
Example:
  slotkeeper grants --url postgres://postgres:PASSWORD@HOST:5432/postgres`,
    )
    .action(async (options: GrantsOptions) => {
      process.exitCode = await runGrants(options)
    })
}

/** Prints the SQL that creates the role with the least privileges on this server. Runs none of it. */
async function runGrants(options: GrantsOptions): Promise<number> {
  checkRole(options.role)
  const bounds = options.bounds === undefined ? [] : readBounds(options.bounds)
  const { credentials, tls } = readConnection(options, process.env)
  const link = await inEitherDatabase(await credentials(false), (chosen) =>
    connect(chosen, tls, 'client', CONNECT_MS),
  )
  try {
    const { role, iam } = options
    const server = await readServerKind(link, role)
    // Read first: bounds that can't be set are an error, and then nothing is printed.
    const lines = await boundLines(link, role, bounds)
    writeOut(
      `-- Creates the role with the least privileges that Slotkeeper needs, on PostgreSQL ${Math.floor(server.serverVersion / 10000)}${server.onRds ? ', RDS' : ''}. Run this as an administrator, in the database that the sweep connects to.`,
    )
    writeOut(createRole(role))
    if (!iam)
      writeOut(
        `-- If the role is new, set its password in psql, which does not log it: \\password ${printable(role)}`,
      )
    for (const { sql, purpose, essential } of grants({
      role,
      auth: iam ? 'iam' : 'secret',
      ...server,
    })) {
      writeOut(`${sql} -- ${essential ? '' : 'optional: '}${purpose}`)
    }
    for (const line of lines) writeOut(line)
    return 0
  } finally {
    await link.close()
  }
}

/** The statements that the function would run at deployment, in one transaction as there. */
async function boundLines(link: Link, role: string, bounds: Bounds): Promise<string[]> {
  if (bounds.length === 0) return []
  const { statements, notes } = changesOf(await readBounded(link, bounds), role, bounds)
  return [
    '-- The bounds. New sessions have them; sessions that are open keep what they have.',
    ...notes.map((note) => `-- Note: ${note}`),
    ...(statements.length > 0 ? ['BEGIN;', ...statements, 'COMMIT;'] : []),
  ]
}

function readBounds(file: string): Bounds {
  const bounds = parseBoundsText(readText('--bounds', file))
  if (bounds.ok) return bounds.value
  throw new SlotkeeperError('settings', `--bounds ${file}: ${bounds.problems.join('; ')}`)
}

/** PostgreSQL refuses an empty name, and truncates a long one: the grants would go to another role. */
function checkRole(role: string): void {
  const bytes = Buffer.byteLength(role)
  if (bytes > 0 && bytes <= MOST_NAME_BYTES) return
  throw new SlotkeeperError(
    'settings',
    `--role: found a name of ${bytes} bytes; expected 1 to ${MOST_NAME_BYTES} bytes, because PostgreSQL truncates longer names`,
  )
}
