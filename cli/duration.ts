import { SlotkeeperError } from '../lambda/errors.ts'

const MS_PER_UNIT = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const FORM = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/**
 * Reads the duration of an option, for example `10s`.
 * @param option as the user wrote it, for example `--for`
 * @returns milliseconds, above 0
 * @throws SlotkeeperError of kind `settings` that names the option and the accepted form
 */
export function readDuration(option: string, text: string): number {
  const [, amount, unit] = FORM.exec(text) ?? []
  const ms = Number(amount) * MS_PER_UNIT[unit as keyof typeof MS_PER_UNIT]
  if (ms > 0) return ms
  throw new SlotkeeperError(
    'settings',
    `${option}: found ${JSON.stringify(text)}; expected a duration such as "10s": a number above 0 with ms, s, m, h or d`,
  )
}
