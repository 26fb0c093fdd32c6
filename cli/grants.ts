import { MOST_NAME_BYTES } from '../lambda/core/names.ts'
import { printable } from '../lambda/core/text.ts'
import { SlotkeeperError } from '../lambda/errors.ts'
import { connect } from '../lambda/postgres/connect.ts'
import { inEitherDatabase } from '../lambda/postgres/gate.ts'
import { createRole, grants, readServerKind } from '../lambda/postgres/role.ts'
import { readConnection, type Source } from './connection.ts'
import { writeOut } from './show.ts'

const CONNECT_MS = 5_000

export type GrantsOptions = Source & { role: string; iam?: boolean }

/** Prints the SQL that creates the role with the least privileges on this server. Runs none of it. */
export async function runGrants(options: GrantsOptions): Promise<number> {
  checkRole(options.role)
  const { credentials, tls } = readConnection(options, process.env)
  const link = await inEitherDatabase(await credentials(false), (chosen) =>
    connect(chosen, tls, 'client', CONNECT_MS),
  )
  try {
    const { role, iam } = options
    const server = await readServerKind(link, role)
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
    return 0
  } finally {
    await link.close()
  }
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
