import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { text } from 'node:stream/consumers'

const DEBIAN = '/usr/lib/postgresql'

/**
 * The folder of `psql` and `pgbench`, which are not in the npm packages of PostgreSQL.
 * @throws Error that says how to get them
 */
export function postgresTools(): string {
  const majors = existsSync(DEBIAN) ? readdirSync(DEBIAN).map(Number) : []
  const folder = `${DEBIAN}/${Math.max(...majors)}/bin`
  if (existsSync(`${folder}/pgbench`)) return folder
  throw new Error('psql and pgbench are missing: apt-get install postgresql')
}

/** Runs a command to its end and returns its standard output. Its standard error is shown. */
export async function run(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  return text(child.stdout)
}
