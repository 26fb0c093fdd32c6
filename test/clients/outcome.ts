/** One request of a program, as its line of JSON says. */
export type Request = { round: number; ok: boolean; error?: string; sqlstate?: string | null }

/** What its users see of a client whose idle sessions are ended. */
export type Outcome =
  | 'not noticed'
  | 'no session to end'
  | 'an error, then well'
  | 'never recovers'
  | 'process dies'

export type Course = {
  /** The requests of the first round after each cut, in order. */
  rounds: Request[][]
  /** How many requests failed one after the other at the end. */
  failing: number
  /** Whether its process ended by itself. */
  died: boolean
  /** The first error that it showed, with its SQLSTATE; NULL: none. */
  error: string | null
}

/** So many requests that fail one after the other are more than two rounds: no pool has so many connections here. */
export const LOST = 13

export function outcomeOf({ rounds, failing, died, error }: Course): Outcome {
  if (died) return 'process dies'
  if (failing >= LOST) return 'never recovers'
  if (rounds.length === 0) return 'no session to end'
  // Also of a request that a busy machine let come between the rounds that are counted.
  return error === null ? 'not noticed' : 'an error, then well'
}
