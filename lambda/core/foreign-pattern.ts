import { brief } from './schema.ts'

/** What a pattern in another pattern language looks like, and the name of that language. */
type Sign = { form: RegExp; of: string }

/**
 * A class of characters that is made of ranges, such as `[a-z]`. But `[shop-web]` and `[0 of 5 busy]` are
 * names.
 */
const CLASS = /\[(?:\^[^\]]+|\[:\w+:\]|(?:(?:[a-z]-[a-z]|[A-Z]-[A-Z]|\d-\d)[_.-]*)+)\]\]?/

/**
 * Only forms that hardly ever occur in a real name. The list leaves out what real names do contain: `_`, `$`
 * at the end (service accounts in Active Directory), brackets and parentheses (process titles), a backslash
 * before a word (paths), `%` before two hexadecimal digits (encoded names), `.*` after another dot (a glob of
 * dotted names).
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

/** A pattern with alternatives, which no single glob can express. */
const ALTERNATIVES = /\||\{[^{}]*[^\d{},][^{}]*\}|\{,|,,/

/**
 * If an entry of a match is a pattern in another language, says why it is refused and what to write instead;
 * otherwise undefined. As a glob such an entry would match no session, so a protection would protect no
 * session.
 */
export function foreignPattern(entry: string): string | undefined {
  const sign = findSign(entry)
  if (sign === undefined) return undefined
  const glob = toGlob(entry)
  const isGlob = findSign(glob) === undefined && glob !== ''
  const written = isGlob ? `write ${brief(glob)}` : 'write it with the wildcards of a glob'
  const instead = ALTERNATIVES.test(entry) ? 'write one entry for each name' : written
  return `expected a name or a glob, but this looks like ${sign.of}: ${instead} ("*" is any run of characters, "?" is exactly one; if the name really contains such a character, write "?" in its place)`
}

function findSign(entry: string): Sign | undefined {
  return SIGNS.find(({ form }) => form.test(entry))
}

/** The nearest glob. It may match more than the pattern does, which a person can see. */
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
