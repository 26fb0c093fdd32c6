// `npm version` runs this. It gives the section "Unreleased" of the changelog its version and date.

import { readFileSync, writeFileSync } from 'node:fs'
import { releaseNotes } from './release-notes.ts'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
const today = new Date().toISOString().slice(0, 10)
writeFileSync('CHANGELOG.md', releaseNotes(readFileSync('CHANGELOG.md', 'utf8'), version, today))
