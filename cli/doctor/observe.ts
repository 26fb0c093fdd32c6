import * as v from 'valibot'
import type { Holders, Snapshot } from '../../lambda/core/session.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { readAnswer } from '../../lambda/postgres/answer.ts'
import { findWaiting, type Waiting } from '../../lambda/postgres/blocking.ts'
import type { Link } from '../../lambda/postgres/connect.ts'
import { type Deadline, type Gate, remaining } from '../../lambda/postgres/gate.ts'
import { FIND_HOLDERS, holdersSchema } from '../../lambda/postgres/locks.ts'
import { takeSnapshot } from '../../lambda/postgres/snapshot.ts'
import { looks } from '../looks.ts'
import { type Counters, readCounters } from './counters.ts'
import { type Roles, readRoles, readSettings, type Settings } from './facts.ts'
import { findMissingGrants } from './rights.ts'
import { readTraces, type Traces } from './traces.ts'

/** One look: the sessions, what each did last, who waits for whom, and the databases' statistics. */
export type Look = {
  snapshot: Snapshot
  traces: Traces
  waiting: Waiting[]
  counters: Counters[]
  /** The server refused an ordinary login at this look. */
  refused: boolean
}

/** What stays the same while the doctor watches. NULL for what its role may not read. */
export type Facts = {
  settings: Settings | null
  roles: Roles | null
  holders: Holders | null
  /** The GRANTs without which something could not be read. */
  missing: string[]
  throughPooler: boolean
}

export type Observed = {
  target: string
  looks: [Look, ...Look[]]
  facts: Facts
  /** Why single looks failed. */
  failures: SlotkeeperError[]
}

const QUERY_MS = 5_000
const EVERY_MS = 1_000
const PATIENCE_MS = 10_000

/**
 * Watches a server for a while.
 * @throws SlotkeeperError if no look succeeded
 */
export async function observe(
  gate: Gate,
  target: string,
  forMs: number,
  stop: AbortSignal,
): Promise<Observed> {
  const taken: Look[] = []
  const failures: SlotkeeperError[] = []
  let facts: Facts | undefined
  const read = async (link: Link, snapshot: Snapshot, deadline: Deadline) => {
    facts ??= await readFacts(link, snapshot, deadline)
    return readLook(gate, link, snapshot, deadline)
  }
  const started = performance.now()
  const pace = { everyMs: EVERY_MS, forMs, stop }
  const take = (link: Link, timeoutMs: number) => takeSnapshot(link, timeoutMs, 'accepted')
  for await (const look of looks(gate, pace, read, take)) {
    if (!(look instanceof SlotkeeperError)) taken.push(look)
    else if (taken.length === 0 && !isWorthAnotherLook(look, started)) throw look
    else failures.push(look)
  }
  const [first, ...later] = taken
  if (first === undefined || facts === undefined) throw failures.at(-1)
  return { target, looks: [first, ...later], facts, failures }
}

/** On a full server a slot may become free. Whoever was paged does not wait for it long. */
function isWorthAnotherLook({ kind }: SlotkeeperError, started: number): boolean {
  return kind === 'exhausted' && performance.now() - started < PATIENCE_MS
}

async function readLook(
  gate: Gate,
  link: Link,
  snapshot: Snapshot,
  deadline: Deadline,
): Promise<Look> {
  const refused = gate.metFullServer()
  const traces = await orElse<Traces>(readTraces(link, remaining(deadline, QUERY_MS)), new Map())
  const waits = [...traces.values()].some(({ waitsForLock }) => waitsForLock)
  const waiting = waits ? await orElse(findWaiting(link, remaining(deadline, QUERY_MS)), []) : []
  const counters = await orElse(readCounters(link, remaining(deadline, QUERY_MS)), [])
  return { snapshot, traces, waiting, counters, refused }
}

async function readFacts(link: Link, { ownPid }: Snapshot, deadline: Deadline): Promise<Facts> {
  const ms = () => remaining(deadline, QUERY_MS)
  const missing = await findMissingGrants(link, ms())
  return {
    settings: await orElse(readSettings(link, ms()), null),
    roles: await orElse(readRoles(link, ms()), null),
    holders: await orElse(readHolders(link, ms()), null),
    missing,
    throughPooler: link.processId !== null && link.processId !== ownPid,
  }
}

async function readHolders(link: Link, timeoutMs: number): Promise<Holders> {
  const answer = await link.query(FIND_HOLDERS, timeoutMs)
  return readAnswer(v.strictTuple([holdersSchema]), answer)[0][0]
}

/** What the role may not read is left out. A lost connection is not such a case. */
async function orElse<T>(reading: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await reading
  } catch (error) {
    const isRefusal = error instanceof SlotkeeperError && ['query', 'rights'].includes(error.kind)
    if (!isRefusal) throw error
    return otherwise
  }
}
