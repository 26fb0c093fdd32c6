/** How fast the machine does fixed work that no change to Slotkeeper can affect, ms. */
export type Reference = {
  /** A fixed amount of work for the processor. */
  processorMs: number
  /** A small process that forks, and whose child exits at once. */
  forkMs: number
  /** The shortest statement over an open connection. */
  roundTripMs: number
  /** The end of one session: a bare statement ends many, and the time is divided by their number. */
  endMs: number
}

/** The parts of the reference, in plain words. */
export const PARTS: Record<keyof Reference, string> = {
  processorMs: 'processor work',
  forkMs: 'fork and exit',
  roundTripMs: 'round trip',
  endMs: 'end of a session',
}

/** More than this between before and after, and the machine was not quiet. */
const MOST_RATIO = 1.2
const COMPARED = ['processorMs', 'forkMs', 'roundTripMs'] as const
/** A healthy machine ends a session in less, ms. The slower the machine, the smaller every ratio looks. */
const MOST_END_MS = 2

/**
 * Why a table says nothing: what was too far apart before and after it, or too slow at all. Empty for a
 * quiet and healthy machine.
 * @param floorsMs what the table itself measured of a bare statement, ms for each session that it ended
 */
export function noiseOf(before: Reference, after: Reference, floorsMs: number[] = []): string[] {
  // A time that is not a number must not pass, so each comparison is for what is wanted.
  const apart = COMPARED.filter((part) => !(ratioOf(before[part], after[part]) <= MOST_RATIO)).map(
    (part) =>
      `${PARTS[part]} took ${shown(before[part])} ms before and ${shown(after[part])} ms after, more than a fifth apart`,
  )
  const slowest = Math.max(before.endMs, after.endMs, ...floorsMs)
  const slow = `one statement took ${shown(slowest)} ms to end each session, on a healthy machine at most ${MOST_END_MS} ms`
  return slowest <= MOST_END_MS ? apart : [...apart, slow]
}

/**
 * Whether a table is written into the results and the documents, and what is said about it.
 * @param asked whether `--publish` was given
 */
export function publication(
  asked: boolean,
  noise: string[],
  flaw?: string,
): { publish: boolean; said: string } {
  const faults = [
    ...(flaw === undefined ? [] : [flaw]),
    ...(noise.length === 0 ? [] : [`noisy: ${noise.join('; ')}`]),
  ]
  if (faults.length > 0) return { publish: false, said: `not published: ${faults.join('; ')}` }
  if (!asked) return { publish: false, said: 'not published: without --publish' }
  return { publish: true, said: 'published' }
}

/** The reference as it stands below a table. */
export function referenceLine(before: Reference, after: Reference): string {
  const parts = (Object.keys(PARTS) as (keyof Reference)[]).map(
    (part) => `${PARTS[part]} ${shown(before[part])} / ${shown(after[part])} ms`,
  )
  return `The machine before / after: ${parts.join('; ')}.`
}

function ratioOf(a: number, b: number): number {
  return Math.max(a, b) / Math.min(a, b)
}

function shown(ms: number): string {
  return String(Number(ms.toPrecision(3)))
}
