import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { releaseNotes } from '../../../scripts/release-notes.ts'

const CHANGELOG =
  '# Changelog\n\n## Unreleased\n\n### Added\n\n- A thing.\n\n## 0.1.0 - 2026-01-01\n'

test('the unreleased section gets the version and date, and a new one is added above', () => {
  expect(releaseNotes(CHANGELOG, '0.2.0', '2026-11-25')).toBe(
    '# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-11-25\n\n### Added\n\n- A thing.\n\n## 0.1.0 - 2026-01-01\n',
  )
})

test.each([
  ['without notes', '# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-01\n', '0.2.0', 'nothing'],
  ['without the section', '# Changelog\n', '0.2.0', 'nothing'],
  ['of a version that is there', CHANGELOG, '0.1.0', 'already'],
])('a changelog %s is refused', (_, changelog, version, problem) => {
  expect(() => releaseNotes(changelog, version, '2026-11-25')).toThrow(problem)
})

test('the changelog of this project can be released', () => {
  expect(releaseNotes(readFileSync('CHANGELOG.md', 'utf8'), '99.0.0', '2026-11-25')).toContain(
    '## 99.0.0 - 2026-11-25',
  )
})
