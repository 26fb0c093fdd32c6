import { setTimeout as pause } from 'node:timers/promises'
import * as v from 'valibot'
import type { Outcome } from '../core/report.ts'
import type { ReapVerdict } from '../core/verdict.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { arraysOf } from './victims.ts'

/** How long a signalled session may take to be gone before it is reported as still there, ms. */
export const SETTLE_MS = 3_000
/** Between two looks whether they are gone; the first pause is the shortest, and each next one twice as long, ms. */
const FIRST_PAUSE_MS = 4
const LONGEST_PAUSE_MS = 100
/** A look that takes longer than this is not waited for, ms. */
const LOOK_MS = 1_000

/** Those of the signalled sessions that are still there, by their place in the list. */
const STILL_THERE = (victims: string) => `
select array_to_json(array(
  select v.place::int - 1
    from unnest(${victims}) with ordinality as v(pid, backend_start, state_change, state, action, place)
    join pg_stat_get_activity(null) a
      on a.pid = v.pid and a.backend_start = to_timestamp(v.backend_start)
    where v.action <> 'cancel' or a.state_change = to_timestamp(v.state_change)
)) as places`

const stillThereSchema = v.strictTuple([
  v.strictTuple([v.object({ places: v.array(v.pipe(v.number(), v.integer(), v.minValue(0))) })]),
])

/**
 * Waits until the signalled sessions are gone. The waiting is the function's, not the server's: nothing of it
 * can take back what is known.
 */
export async function settle(
  link: Link,
  verdicts: ReapVerdict[],
  outcomes: Outcome[],
  leftMs: number,
): Promise<Outcome[]> {
  const signalled = [...outcomes.keys()].filter((place) => outcomes[place]?.outcome === 'reaped')
  const until = performance.now() + Math.min(SETTLE_MS, leftMs)
  let present = signalled
  try {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      present = await stillThere(link, verdicts, present, until)
      if (present.length === 0 || performance.now() >= until) break
      await pause(pauseMs)
    }
  } catch (error) {
    // The server accepted the signals; that the look after them failed does not make it untrue.
    if (error instanceof SlotkeeperError) return outcomes
    throw error
  }
  const left = new Set(present)
  return outcomes.map((outcome, place) => (left.has(place) ? STILL_PRESENT : outcome))
}

async function stillThere(
  link: Link,
  verdicts: ReapVerdict[],
  places: number[],
  until: number,
): Promise<number[]> {
  if (places.length === 0) return []
  const asked = places.map((place) => verdicts[place] as ReapVerdict)
  const timeoutMs = Math.max(LOOK_MS, until - performance.now())
  const answer = await link.query(STILL_THERE(arraysOf(asked)), timeoutMs)
  const [[{ places: found }]] = readAnswer(stillThereSchema, answer)
  return found.flatMap((index) => places[index] ?? [])
}

const STILL_PRESENT: Outcome = {
  outcome: 'refused',
  sqlstate: '00000',
  message: `the signal was accepted, but the session is still there ${SETTLE_MS / 1000} s later`,
}
