// Controls drive terminals; format characters hide, or reorder, what a person reads.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

const escaped = (characters: string) =>
  characters
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')

/** Text from a server as it can be shown: what a terminal would act on stands there as `\u001b`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escaped)
}

/** JSON on one line that is as harmless on a terminal as `printable` text and reads back the same. */
export function safeJson(value: unknown): string {
  return printable(JSON.stringify(value))
}
