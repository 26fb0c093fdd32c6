import { readFileSync, type Stats, statSync } from 'node:fs'
import { messageOf, SlotkeeperError } from '../lambda/errors.ts'

const OF_OTHERS = 0o077

/** @throws SlotkeeperError of kind `settings` that says what the file was for */
export function readText(purpose: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new SlotkeeperError('settings', `${purpose}: ${messageOf(error)}`)
  }
}

/**
 * A password file, which libpq passes over where others may read it, and says so.
 * @returns undefined where there is none, or where it is passed over
 */
export function readPrivately(file: string): string | undefined {
  let stats: Stats
  try {
    stats = statSync(file)
  } catch {
    // Most people have none.
    return undefined
  }
  const fault = !stats.isFile()
    ? 'is not a plain file'
    : (stats.mode & OF_OTHERS) !== 0
      ? 'may be read by others; its permissions should be 0600 or less'
      : undefined
  if (fault === undefined) return readText('password file', file)
  process.stderr.write(
    `slotkeeper: warning: the password file ${file} is passed over: it ${fault}\n`,
  )
  return undefined
}
