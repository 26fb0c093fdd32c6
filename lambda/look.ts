import type { Holders, Snapshot } from './core/session.ts'
import { SlotkeeperError } from './errors.ts'
import { loadLate } from './load-late.ts'
import type { Link } from './postgres/connect.ts'
import { type Deadline, type Gate, remaining } from './postgres/gate.ts'
import { takeSnapshot } from './postgres/snapshot.ts'

/**
 * Less than `QUERY_MS`: the first query over a kept connection also tests whether the connection is alive.
 */
export const WARM_QUERY_MS = 3_000
export const QUERY_MS = 5_000
/** The time to read the holders of locks and slots, ms. */
export const HOLDERS_MS = 5_000

/** A snapshot, the open link that it came over, and what was read ahead. */
export type Look = { link: Link; snapshot: Snapshot; holders?: Promise<Holders> }

/**
 * Connects and takes one snapshot. A kept connection may have died unnoticed while the function was frozen; then
 * this opens a new one. The caller gives the link back to the gate, or closes it.
 * @param options.take how to take the snapshot
 * @param options.ahead over a kept connection, also sends the question for the holders at once. The server then answers it while
 *   the caller reads the snapshot. The caller must await the answer before it gives the link back.
 * @throws SlotkeeperError; the connection is then closed
 */
export async function look(
  gate: Gate,
  deadline: Deadline,
  { take = takeSnapshot, ahead = false }: { take?: typeof takeSnapshot; ahead?: boolean } = {},
): Promise<Look> {
  const warm = gate.takeWarm()
  if (warm) {
    try {
      const answer = remaining(deadline, WARM_QUERY_MS)
      if (!ahead) return { link: warm, snapshot: await snapshotOrExplain(warm, take, answer) }
      return await lookAhead(warm, take, answer, deadline)
    } catch (error) {
      if (!(error instanceof SlotkeeperError) || error.kind !== 'unreachable') throw error
    }
  }
  const link = await gate.open(deadline)
  return { link, snapshot: await snapshotOrExplain(link, take, remaining(deadline, QUERY_MS)) }
}

async function lookAhead(
  link: Link,
  take: typeof takeSnapshot,
  timeoutMs: number,
  deadline: Deadline,
): Promise<Look> {
  const { preflight } = await loadLate()
  const taking = snapshotOrExplain(link, take, timeoutMs)
  // Its time includes the time of the snapshot, which the server takes first.
  const holders = preflight(link, remaining(deadline, WARM_QUERY_MS + HOLDERS_MS))
  // If the snapshot fails, nobody awaits this. Its failure must not end the process then.
  holders.catch(() => undefined)
  return { link, snapshot: await taking, holders }
}

/** Takes the snapshot. If it fails, closes the connection and names the missing grants in the error. */
async function snapshotOrExplain(
  link: Link,
  take: typeof takeSnapshot,
  timeoutMs: number,
): Promise<Snapshot> {
  try {
    return await take(link, timeoutMs)
  } catch (error) {
    const { explainRefusal } = await loadLate()
    const reason = await explainRefusal(link, error, timeoutMs)
    await link.close()
    throw reason
  }
}
