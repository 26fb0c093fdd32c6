import { type Cloud, startCloud } from './cloud.ts'
import { type Run, runFunction } from './function.ts'
import { createShare, type Share } from './processor-share.ts'
import { node24 } from './start.ts'
import type { Table } from './table.ts'

const BUNDLE = 'dist/lambda'

/** Runs the built function, with settings of its own, at the share of a processor of its size. */
export type RunCase = (
  settings: Record<string, string>,
  memoryMb: number,
  warmSweeps: number,
) => Promise<Run>

/**
 * Measures a table of the built function. Where the machine has no share of a processor to give, the table
 * has no rows, and says why.
 * @param maxConnections of the server that the function sweeps
 */
export async function underShare(
  head: Pick<Table, 'title' | 'columns'>,
  maxConnections: number,
  measure: (cloud: Cloud, run: RunCase) => Promise<Table>,
): Promise<Table> {
  let group: Share
  try {
    group = createShare()
  } catch (error) {
    return { ...head, rows: [], flaw: (error as Error).message }
  }
  const node = node24()
  const cloud = await startCloud(BUNDLE, maxConnections)
  try {
    const table = await measure(cloud, (settings, memoryMb, warmSweeps) => {
      const environment = { ...cloud.environment, ...settings }
      return runFunction({ bundle: BUNDLE, environment, node }, warmSweeps, { group, memoryMb })
    })
    return group.throttled() > 0 ? table : { ...table, flaw: 'the processor quota had no effect' }
  } finally {
    await cloud.stop()
    group.remove()
  }
}
