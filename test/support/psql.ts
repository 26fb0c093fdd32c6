import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'

const FOLDER = '/usr/lib/postgresql'

/**
 * The client of PostgreSQL itself, as a path. Debian's `psql` in PATH is a wrapper, which has ideas of
 * its own about where to connect.
 */
export function findPsql(): string | undefined {
  if (!existsSync(FOLDER)) return undefined
  const newest = readdirSync(FOLDER).sort((a, b) => Number(b) - Number(a))
  return newest.map((major) => `${FOLDER}/${major}/bin/psql`).find(existsSync)
}

/** Where `psql` arrives with its arguments and environment; undefined where it is refused. */
export function arriveByPsql(
  psql: string,
  args: string[],
  env: Record<string, string>,
): Promise<{ said: string; complained: string }> {
  return new Promise((resolve) => {
    const all = ['-X', '-w', '-At', ...args]
    execFile(psql, all, { env }, (_, said, complained) =>
      resolve({ said: said.trim(), complained }),
    )
  })
}
