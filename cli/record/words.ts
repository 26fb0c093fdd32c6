import type { SlotkeeperError } from '../../lambda/errors.ts'
import { greatest } from '../causes.ts'
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

/** @param tallies one for each server, and at least one */
export function tellStatus(tallies: Tally[], forMs: number): string {
  const of = Number.isFinite(forMs) ? ` of ${time(forMs)}` : ''
  const sum = (part: (tally: Tally) => number) =>
    tallies.reduce((total, tally) => total + part(tally), 0)
  const atMs = greatest(tallies.map((tally) => tally.atMs))
  // An instance that has left the cluster is not looked at any more.
  const present = tallies.filter((tally) => tally.atMs === atMs)
  const silent = present.filter(({ isLost }) => isLost)
  const from = present.length > 1 ? ` from ${silent.length} of ${present.length} instances` : ''
  const gap = greatest(silent.map((tally) => gapOf(tally, tally.atMs)))
  const lost = silent.length > 0 ? `, no answer${from} for ${time(gap)}` : ''
  const snapshots = sum((tally) => tally.snapshots)
  return `${time(atMs)}${of}: ${many(snapshots, 'snapshot')}, ${size(sum(({ bytes }) => bytes))}${lost}`
}

/** What to say when the server is lost, or there again; undefined if neither changed. */
export function tellChange(
  before: Tally | undefined,
  atMs: number,
  failure: SlotkeeperError | undefined,
): string | undefined {
  const wasLost = before?.isLost ?? false
  if (wasLost === (failure !== undefined)) return undefined
  return failure
    ? `no snapshot: ${failure.message} The recording has a gap until a later look succeeds.`
    : `snapshots again, after a gap of ${time(before ? gapOf(before, atMs) : 0)}`
}

/** @param pick whether a replay has to be told which of several servers it is to replay */
export function tellEnd(
  tally: Tally,
  { target, out, pick = false }: { target: string; out: string; pick?: boolean },
): string {
  const { snapshots, sessions, failed, bytes, atMs } = tally
  const [fewest, most] = sessions
  const crowd = fewest === most ? many(most, 'session') : `${fewest} to ${many(most, 'session')}`
  const longest = Math.max(tally.longestGapMs, gapOf(tally, atMs))
  const lost =
    failed === 0 ? '' : ` ${many(failed, 'look')} failed; the longest gap is ${time(longest)}.`
  if (snapshots === 0) return `recorded no snapshot of ${target}.${lost}`
  const of = pick ? ` --target ${target}` : ''
  return `recorded ${many(snapshots, 'snapshot')} of ${target} in ${time(atMs)}, with ${crowd} each: ${size(bytes)} in ${place(out)}.${lost}${next(out, of)}`
}

function next(out: string, of: string): string {
  return out === '-' ? '' : ` Next: slotkeeper replay ${out}${of} --policy POLICY.json`
}

const place = (out: string) => (out === '-' ? 'standard output' : out)

function size(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}
