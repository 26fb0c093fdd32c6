import { setTimeout as pause } from 'node:timers/promises'
import * as v from 'valibot'
import type { Outcome } from '../core/report.ts'
import type { ReapVerdict } from '../core/verdict.ts'
import { SlotkeeperError } from '../errors.ts'
import { readAnswer } from './answer.ts'
import type { Link } from './connect.ts'
import { arraysOf } from './victims.ts'

/** The time that a signalled session has to disappear before it is reported as still there, ms. */
export const SETTLE_MS = 3_000
/** The pause between two checks, ms. Each pause is twice as long as the one before, up to the longest. */
const FIRST_PAUSE_MS = 4
const LONGEST_PAUSE_MS = 100
/** The least time that a check has for its answer, ms. */
const CHECK_TIMEOUT_MS = 1_000

/** Finds the signalled sessions that are still there, by their index in the list. */
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
 * Waits until the signalled sessions are gone, at most `SETTLE_MS`. The function waits, not the server. So if
 * the waiting fails, the outcomes that are already known are not lost.
 * @param leftMs the time left for the reap
 * @returns the outcomes in the same order; a session that is still there is `refused` with SQLSTATE 00000
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
    // The server accepted the signals. That stays true even if the check after them fails.
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
  const timeoutMs = Math.max(CHECK_TIMEOUT_MS, until - performance.now())
  const answer = await link.query(STILL_THERE(arraysOf(asked)), timeoutMs)
  const [[{ places: found }]] = readAnswer(stillThereSchema, answer)
  return found.flatMap((index) => places[index] ?? [])
}

const STILL_PRESENT: Outcome = {
  outcome: 'refused',
  sqlstate: '00000',
  message: `the signal was accepted, but the session is still there ${SETTLE_MS / 1000} s later`,
}
