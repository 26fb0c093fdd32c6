import { readFileSync, type Stats, statSync } from 'node:fs'
import { messageOf, SlotkeeperError } from '../lambda/errors.ts'

const OF_OTHERS = 0o077

/** @throws SlotkeeperError of kind `settings` that says what the file is for */
export function readText(purpose: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new SlotkeeperError('settings', `${purpose}: ${messageOf(error)}`)
  }
}

/**
 * Reads a password file. Like libpq, it ignores a file that others may read, and prints a warning.
 * @returns undefined if there is no file, or the file is ignored
 */
export function readPrivately(file: string): string | undefined {
  let stats: Stats
  try {
    stats = statSync(file)
  } catch {
    // Most people have no password file.
    return undefined
  }
  const fault = !stats.isFile()
    ? 'is not a plain file'
    : (stats.mode & OF_OTHERS) !== 0
      ? 'can be read by other users; set its permissions to 0600 or less'
      : undefined
  if (fault === undefined) return readText('password file', file)
  process.stderr.write(
    `slotkeeper: warning: the password file ${file} is ignored, because it ${fault}\n`,
  )
  return undefined
}
