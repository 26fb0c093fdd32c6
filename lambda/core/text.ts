// Control characters drive terminals. Format characters hide or reorder what a person reads.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

const escaped = (characters: string) =>
  characters
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')

/**
 * Makes text from a server safe to show. Characters that a terminal would act on are escaped, such as
 * `\u001b`.
 */
export function printable(text: string): string {
  return text.replace(UNSAFE, escaped)
}

/** JSON on one line. It is as safe on a terminal as `printable` text, and parses to the same value. */
export function safeJson(value: unknown): string {
  return printable(JSON.stringify(value))
}
