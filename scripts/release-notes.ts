const UNRELEASED = /^## Unreleased\n/m

/**
 * The changelog in which what was unreleased belongs to a version.
 * @param date as `2026-11-25`
 * @throws Error where nothing is unreleased, or the version has a section already
 */
export function releaseNotes(changelog: string, version: string, date: string): string {
  const notes = changelog.split(UNRELEASED)[1]?.split(/^## /m)[0]?.trim()
  if (!notes) throw new Error('CHANGELOG.md: nothing stands under "## Unreleased"')
  if (changelog.includes(`\n## ${version} `)) {
    throw new Error(`CHANGELOG.md: version ${version} has a section already`)
  }
  return changelog.replace(UNRELEASED, `## Unreleased\n\n## ${version} - ${date}\n`)
}
