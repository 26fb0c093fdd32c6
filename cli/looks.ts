import { setTimeout as pause } from 'node:timers/promises'
import type { Snapshot } from '../lambda/core/session.ts'
import { SlotkeeperError } from '../lambda/errors.ts'
import { look } from '../lambda/look.ts'
import type { Link } from '../lambda/postgres/connect.ts'
import { type Deadline, deadlineIn, type Gate } from '../lambda/postgres/gate.ts'
import type { takeSnapshot } from '../lambda/postgres/snapshot.ts'

/** How often to look at a server, how long, and a signal that ends it early. */
export type Pace = { everyMs: number; forMs: number; stop: AbortSignal }

/** How to take the snapshot of a look. */
export type Take = typeof takeSnapshot

/** The time for one look, ms: to connect, and for its queries. */
export const LOOK_MS = 15_000

/** What else to read over the connection of a look. */
export type Read<T> = (link: Link, snapshot: Snapshot, deadline: Deadline) => Promise<T>

/**
 * Looks at a server at the times of `rounds`.
 * @param take how to take the snapshot
 * @returns what `read` returned, or why the look failed; later looks still follow
 */
export function looks<T>(
  gate: Gate,
  pace: Pace,
  read: Read<T>,
  take?: Take,
): AsyncGenerator<T | SlotkeeperError> {
  return rounds(pace, () => lookOnce(gate, read, take))
}

/**
 * Does the same at regular times: the first time at once, the last time when `forMs` has passed. A round that
 * takes longer than `everyMs` delays the next one; no round is made up for.
 */
export async function* rounds<T>(
  { everyMs, forMs, stop }: Pace,
  round: () => Promise<T>,
): AsyncGenerator<T> {
  const started = performance.now()
  const endsAt = started + forMs
  while (!stop.aborted) {
    const dueAt = performance.now()
    yield await round()
    if (dueAt >= endsAt) return
    const nextAt = Math.min(dueAt + everyMs, endsAt)
    await pause(Math.max(0, nextAt - performance.now()), undefined, { signal: stop }).catch(
      ignoreAbort,
    )
  }
}

/** Looks at a server once. Returns what `read` returned, or why the look failed. */
export function lookOnce<T>(gate: Gate, read: Read<T>, take?: Take): Promise<T | SlotkeeperError> {
  return lookOrFail(gate, read, take).catch(asFailure)
}

async function lookOrFail<T>(gate: Gate, read: Read<T>, take: Take | undefined): Promise<T> {
  const deadline = deadlineIn(LOOK_MS)
  const { link, snapshot } = await look(gate, deadline, take && { take })
  try {
    return await read(link, snapshot, deadline)
  } finally {
    await gate.giveBack(link)
  }
}

/** @throws what is no SlotkeeperError: a fault of our own */
export function asFailure(error: unknown): SlotkeeperError {
  if (error instanceof SlotkeeperError) return error
  throw error
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error
}
