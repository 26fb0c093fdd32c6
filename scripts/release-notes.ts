const UNRELEASED = /^## Unreleased\n/m

/**
 * Moves the unreleased entries of a changelog into the section of a version.
 * @param date the date of the release, such as `2026-11-25`
 * @throws Error if there are no unreleased entries, or the version already has a section
 */
export function releaseNotes(changelog: string, version: string, date: string): string {
  const notes = changelog.split(UNRELEASED)[1]?.split(/^## /m)[0]?.trim()
  if (!notes) throw new Error('CHANGELOG.md: nothing is listed under "## Unreleased"')
  if (changelog.includes(`\n## ${version} `)) {
    throw new Error(`CHANGELOG.md: version ${version} already has a section`)
  }
  return changelog.replace(UNRELEASED, `## Unreleased\n\n## ${version} - ${date}\n`)
}
