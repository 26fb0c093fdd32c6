import type { SlotkeeperError } from '../../lambda/errors.ts'
import { age } from '../show.ts'
import { gapOf, type Tally } from './tally.ts'

const many = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`
const time = (ms: number) => age(ms / 1000)

export function tellStart(
  target: string,
  { everyMs, forMs, out }: { everyMs: number; forMs: number; out: string },
): string {
  const until = Number.isFinite(forMs) ? `for ${time(forMs)}` : 'until Ctrl-C'
  return `recording ${target} every ${time(everyMs)} ${until}, to ${place(out)}`
}

export function tellStatus(tally: Tally, forMs: number): string {
  const of = Number.isFinite(forMs) ? ` of ${time(forMs)}` : ''
  const lost = tally.isLost ? `, no answer for ${time(gapOf(tally, tally.atMs))}` : ''
  return `${time(tally.atMs)}${of}: ${many(tally.snapshots, 'snapshot')}, ${size(tally.bytes)}${lost}`
}

/** What to say when the server is lost, or there again; undefined if neither changed. */
export function tellChange(
  before: Tally | undefined,
  atMs: number,
  failure: SlotkeeperError | undefined,
): string | undefined {
  if (before === undefined || before.isLost === (failure !== undefined)) return undefined
  return failure
    ? `no snapshot: ${failure.message} The recording has a gap until a later look succeeds.`
    : `snapshots again, after a gap of ${time(gapOf(before, atMs))}`
}

export function tellEnd(tally: Tally, { target, out }: { target: string; out: string }): string {
  const { snapshots, sessions, failed, bytes, atMs } = tally
  const [fewest, most] = sessions
  const crowd = fewest === most ? many(most, 'session') : `${fewest} to ${many(most, 'session')}`
  const longest = Math.max(tally.longestGapMs, gapOf(tally, atMs))
  const lost =
    failed === 0 ? '' : ` ${many(failed, 'look')} failed; the longest gap is ${time(longest)}.`
  return `recorded ${many(snapshots, 'snapshot')} of ${target} in ${time(atMs)}, with ${crowd} each: ${size(bytes)} in ${place(out)}.${lost}${next(out)}`
}

function next(out: string): string {
  return out === '-' ? '' : ` Next: slotkeeper replay ${out} --policy POLICY.json`
}

const place = (out: string) => (out === '-' ? 'standard output' : out)

function size(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}
