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
const LOOK_MS = 15_000

/**
 * Looks at a server at regular times: the first time at once, the last time when `forMs` has passed. A look that
 * takes longer than `everyMs` delays the next one; no look is made up for.
 * @param read what else to read over the same connection
 * @param take how to take the snapshot
 * @returns what `read` returned, or why the look failed; later looks still follow
 */
export async function* looks<T>(
  gate: Gate,
  { everyMs, forMs, stop }: Pace,
  read: (link: Link, snapshot: Snapshot, deadline: Deadline) => Promise<T>,
  take?: Take,
): AsyncGenerator<T | SlotkeeperError> {
  const started = performance.now()
  const endsAt = started + forMs
  while (!stop.aborted) {
    const dueAt = performance.now()
    yield await lookOnce(gate, read, take).catch(asFailure)
    if (dueAt >= endsAt) return
    const nextAt = Math.min(dueAt + everyMs, endsAt)
    await pause(Math.max(0, nextAt - performance.now()), undefined, { signal: stop }).catch(
      ignoreAbort,
    )
  }
}

async function lookOnce<T>(
  gate: Gate,
  read: (link: Link, snapshot: Snapshot, deadline: Deadline) => Promise<T>,
  take: Take | undefined,
): Promise<T> {
  const deadline = deadlineIn(LOOK_MS)
  const { link, snapshot } = await look(gate, deadline, take && { take })
  try {
    return await read(link, snapshot, deadline)
  } finally {
    await gate.giveBack(link)
  }
}

function asFailure(error: unknown): SlotkeeperError {
  if (error instanceof SlotkeeperError) return error
  throw error
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error
}
