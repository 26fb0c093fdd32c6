import type { Snapshot } from './core/session.ts'
import { SlotkeeperError } from './errors.ts'
import type { Link } from './postgres/connect.ts'
import { type Deadline, type Gate, remaining } from './postgres/gate.ts'
import { takeSnapshot } from './postgres/snapshot.ts'

/**
 * Less than `QUERY_MS`: the first query over a kept connection also tests whether the connection is alive.
 */
const WARM_QUERY_MS = 3_000
const QUERY_MS = 5_000

/**
 * Connects and takes one snapshot. A kept connection may have died unnoticed while the function was frozen; then
 * this opens a new one. The caller gives the link back to the gate, or closes it.
 * @param take how to take the snapshot
 * @throws SlotkeeperError; the connection is then closed
 */
export async function look(
  gate: Gate,
  deadline: Deadline,
  take = takeSnapshot,
): Promise<{ link: Link; snapshot: Snapshot }> {
  const warm = gate.takeWarm()
  if (warm) {
    try {
      const snapshot = await snapshotOrExplain(warm, take, remaining(deadline, WARM_QUERY_MS))
      return { link: warm, snapshot }
    } catch (error) {
      if (!(error instanceof SlotkeeperError) || error.kind !== 'unreachable') throw error
    }
  }
  const link = await gate.open(deadline)
  return { link, snapshot: await snapshotOrExplain(link, take, remaining(deadline, QUERY_MS)) }
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
    const { explainRefusal } = await import('./postgres/rights.ts')
    const reason = await explainRefusal(link, error, timeoutMs)
    await link.close()
    throw reason
  }
}
