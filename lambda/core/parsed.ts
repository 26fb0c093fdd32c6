/** The value that was read, or every problem with the input. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; problems: string[] }

export const parsed = <T>(value: T): Parsed<T> => ({ ok: true, value })
export const refused = (...problems: string[]): Parsed<never> => ({ ok: false, problems })

type Parts = Record<string, Parsed<unknown>>
type Whole<T extends Parts> = { [K in keyof T]: T[K] extends Parsed<infer V> ? V : never }

/** Combines parts that were read one by one into one value, or into the problems of all of them. */
export function combine<T extends Parts>(parts: T, ...further: string[]): Parsed<Whole<T>> {
  const problems = [
    ...further,
    ...Object.values(parts).flatMap((part) => (part.ok ? [] : part.problems)),
  ]
  if (problems.length > 0) return { ok: false, problems }
  const values = Object.entries(parts).map(([name, part]) => [name, part.ok && part.value])
  return { ok: true, value: Object.fromEntries(values) as Whole<T> }
}
