import { brief } from './schema.ts'

/** What a pattern of another language looks like, and how that language is called. */
type Sign = { form: RegExp; of: string }

/** A class of characters that is made of ranges; `[shop-web]` and `[0 of 5 busy]` are names. */
const CLASS = /\[(?:\^[^\]]+|\[:\w+:\]|(?:(?:[a-z]-[a-z]|[A-Z]-[A-Z]|\d-\d)[_.-]*)+)\]\]?/

/**
 * Only what can hardly stand in a real name. Not among them, since names have it: `_`, `$` at the end
 * (accounts of services in Active Directory), brackets and parentheses (process titles), a backslash
 * before a word (paths), `%` before two hexadecimal digits (encoded names), `.*` after another dot
 * (a glob of dotted names).
 */
export const SIGNS: Sign[] = [
  { form: /^%|%$|%(?![0-9A-Fa-f]{2})/, of: 'LIKE' },
  { form: /\\[_%]/, of: 'LIKE' },
  { form: /^\/?\^/, of: 'a regular expression' },
  { form: /^[^.]*\.[*+]|\.[*+].*\.[*+]|\.\+|\.\{\d/, of: 'a regular expression' },
  { form: /\\(?:[dDwWsSbByYmMAZ](?!\w)|[.*+?^$()[\]{}|/-])/, of: 'a regular expression' },
  { form: CLASS, of: 'a regular expression' },
  { form: /[\])][+{]|\(\?(?:[:=!<]|[a-z]+\))/, of: 'a regular expression' },
  { form: /\w\)?\|\(?\w/, of: 'a regular expression' },
  { form: /\{[^{},]*,[^{}]*\}/, of: "the shell's braces or a regular expression" },
]

/** With these no single glob says the same. */
const ALTERNATIVES = /\||\{[^{}]*[^\d{},][^{}]*\}|\{,|,,/

/**
 * Why an entry of a match is refused, as it is a pattern of another language, with what to write
 * instead; or undefined. As a glob it would match nobody, and a protection would protect nobody.
 */
export function foreignPattern(entry: string): string | undefined {
  const sign = findSign(entry)
  if (sign === undefined) return undefined
  const glob = toGlob(entry)
  const isGlob = findSign(glob) === undefined && glob !== ''
  const written = isGlob ? `write ${brief(glob)}` : 'write it with the signs of a glob'
  const instead = ALTERNATIVES.test(entry) ? 'write one entry for each name' : written
  return `expected a name or a glob, and this reads as ${sign.of}: ${instead} ("*" is any run of characters, "?" exactly one; for a name that really has such a sign, write "?" in its place)`
}

function findSign(entry: string): Sign | undefined {
  return SIGNS.find(({ form }) => form.test(entry))
}

/** The nearest glob: what it matches beyond the pattern, a person can see. */
function toGlob(pattern: string): string {
  return pattern
    .replace(/^\/?\^/, '')
    .replace(/\$$/, '')
    .replace(/\\_/g, '_')
    .replace(/\\%/g, '?')
    .replace(/%/g, '*')
    .replace(new RegExp(CLASS, 'g'), '?')
    .replace(/\\[dDwWsS]/g, '?')
    .replace(/\\[bByYmMAZ]/g, '')
    .replace(/\(\?(?:[:=!<]+|[a-z]+\))/g, '')
    .replace(/\\(?=[.*+?^$()[\]{}|/-])/g, '')
    .replace(/[.?]\*/g, '*')
    .replace(/[.?]\+/g, '?*')
    .replace(/[.?)\]]\{[\d,]*\}/g, '*')
    .replace(/[()]\+?/g, '')
    .replace(/\*{2,}/g, '*')
}
