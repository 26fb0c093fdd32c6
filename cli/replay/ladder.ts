/** From `first` on in equal steps, up to and without `end`. */
const steps = (first: number, end: number, step: number): number[] =>
  Array.from({ length: Math.ceil((end - first) / step) }, (_, index) => first + index * step)

const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/**
 * Durations that a person would write into a policy, s, in ascending order. Neighbours above 10 s differ by a third
 * or less. Idle times are counted between them, and a limit that is derived from a
 * recording is one of them.
 */
export const LADDER: readonly number[] = [
  0,
  ...[0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
  ...steps(1, 10, 1),
  ...steps(10, 30, 2),
  ...steps(30, MINUTE, 5),
  ...steps(MINUTE, 2 * MINUTE, 10),
  ...steps(2 * MINUTE, 5 * MINUTE, 30),
  ...steps(5 * MINUTE, 10 * MINUTE, MINUTE),
  10 * MINUTE,
  12 * MINUTE,
  ...steps(15 * MINUTE, HOUR, 5 * MINUTE),
  ...steps(HOUR, 2 * HOUR, 15 * MINUTE),
  ...steps(2 * HOUR, 6 * HOUR, 30 * MINUTE),
  ...steps(6 * HOUR, DAY, HOUR),
  ...steps(DAY, 3 * DAY, 6 * HOUR),
  ...steps(3 * DAY, 100 * DAY, DAY),
]

/**
 * The place of the last step that is not above `seconds`.
 * @param from where to begin: the place of an earlier, smaller value
 */
export function stepOf(seconds: number, from = 0): number {
  let step = from
  while (step + 1 < LADDER.length && (LADDER[step + 1] as number) <= seconds) step += 1
  return step
}

/** The smallest step that is at least `seconds`, and above 0. Beyond the last step, whole days. */
export function roundUp(seconds: number): number {
  return LADDER.find((step) => step > 0 && step >= seconds) ?? Math.ceil(seconds / DAY) * DAY
}

/** A duration as a policy has it: `90s`, `25m`, `36h`. */
export function asDuration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)}ms`
  if (seconds % HOUR === 0) return `${seconds / HOUR}h`
  return seconds % MINUTE === 0 ? `${seconds / MINUTE}m` : `${seconds}s`
}
