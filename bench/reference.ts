import { fileURLToPath } from 'node:url'
import type { Reference } from './noise.ts'
import { reapOnce } from './reap.ts'
import { psql } from './reapers.ts'
import { benchServer } from './server.ts'
import { median } from './statistics.ts'
import { run } from './tools.ts'

const WORK = fileURLToPath(new URL('reference-work.ts', import.meta.url))
const CROWD = 50
const ROUNDS = 9

/** A server of its own for the reference, which does nothing while a table is measured. */
export async function startReference() {
  const db = await benchServer({})
  const measure = async (): Promise<Reference> => {
    // A process of its own, because this one is in another state after each table: its memory, its code.
    const work = await run(process.execPath, ['--import', 'tsx', WORK, db.server.url()])
    const ends: number[] = []
    for (let round = 0; round <= ROUNDS; round += 1) {
      const { ms } = await reapOnce(db, CROWD, psql)
      if (round > 0) ends.push(ms / CROWD)
    }
    return { ...(JSON.parse(work) as Omit<Reference, 'endMs'>), endMs: median(ends) }
  }
  // The first one, right after the server was made, does not count.
  await measure()
  return { measure, stop: () => db.stop() }
}
