import { writeFrame } from '../lambda/core/recording.ts'
import type { Session } from '../lambda/core/session.ts'
import { session, snapshot } from '../test/support/session.ts'
import { MINUTES, PRICE } from './cost.ts'

/** What CloudWatch Logs adds to each event when it counts the bytes that are ingested. */
const EVENT_BYTES = 26
const AT_S = 1_767_225_600
/** A share of one that is different for each session, and spread evenly. */
const GOLDEN = 0.618_033_988_7
const DAY_S = 86_400
const HOUR_S = 3_600
const SESSIONS_OF_A_POOL = 25

/** What the recording of one target adds to its log. */
export type RecordingCost = { sessions: number; events: number; bytes: number; usdMonth: number }

/**
 * The cost of a recording, from lines as the function writes them: sessions that were opened up to a day ago and
 * are idle for up to an hour, in pools of 25.
 */
export function recordingCost(sessions: number): RecordingCost {
  const seen = snapshot(
    Array.from({ length: sessions }, (_, index) => typical(index)),
    { atMs: AT_S * 1000 },
  )
  const lines = writeFrame({ target: 'shop', snapshot: seen, reaped: new Set() })
  const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(`${line}\n`) + EVENT_BYTES, 0)
  const usdMonth = (MINUTES * bytes * PRICE.logGb) / 1e9
  return { sessions, events: lines.length, bytes, usdMonth }
}

function typical(index: number): Session {
  const share = (index * GOLDEN) % 1
  const pool = Math.floor(index / SESSIONS_OF_A_POOL)
  return session({
    pid: 1_000 + index * 7,
    application: `checkout-${pool}`,
    client: `10.0.${pool >> 8}.${pool & 255}`,
    backendStart: (AT_S - share * DAY_S).toFixed(6),
    stateChange: (AT_S - share * HOUR_S).toFixed(6),
  })
}
