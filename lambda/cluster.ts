import type { AutoPause } from './auto-pause.ts'
import { type ClusterReport, instanceTarget } from './core/cluster-report.ts'
import type { Away } from './core/pause.ts'
import type { Mode } from './core/report.ts'
import { asFailure, SlotkeeperError } from './errors.ts'
import type { Member, Members } from './members.ts'
import type { Deadline, Gate } from './postgres/gate.ts'
import type { Target, TargetSweep } from './target.ts'

/** What became of one instance. */
export type InstanceSweep = {
  id: string
  isWriter: boolean
  result: TargetSweep | SlotkeeperError
  /** Whether the server was full when the sweep connected. */
  metFullServer: boolean
  durationMs: number
  /** Whether its failure counts: not if the cluster itself no longer hears from it. */
  counts: boolean
}

export type ClusterSweep = {
  report: ClusterReport
  instances: InstanceSweep[]
  /** The instances to which no connection was made, with the reasons. */
  away: ReadonlyMap<string, Away>
  /** The instances that the sweep before did not have, and those that are no longer there. */
  joined: string[]
  left: string[]
}

/** A whole cluster, and what is kept about each of its instances between its sweeps. */
export type Cluster = {
  name: string
  /**
   * Sweeps every instance that the cluster has at this moment, side by side. A failure of one does not affect the
   * others, and is its result.
   * @throws SlotkeeperError if no instance gives the list of all
   */
  sweep(mode: Mode, deadline: Deadline): Promise<ClusterSweep>
}

/**
 * Creates a cluster that has not been swept yet. It connects at its first sweep.
 * @param targetOf creates the target of an instance that is new in the cluster
 * @param autoPause if given, decides where no connection may be made
 */
export function createCluster(
  name: string,
  members: Members,
  targetOf: (target: string, gate: Gate) => Target,
  autoPause?: AutoPause,
): Cluster {
  let targets = new Map<string, Target>()

  async function sweepMember(
    member: Member,
    mode: Mode,
    deadline: Deadline,
  ): Promise<InstanceSweep> {
    const { id, isWriter } = member
    const started = performance.now()
    const target = targets.get(id) as Target
    const result = await target.sweep(mode, deadline).catch(asFailure)
    const gone = result instanceof SlotkeeperError ? leaving(member, result) : undefined
    return {
      id,
      isWriter,
      result: gone ?? result,
      metFullServer: target.metFullServer(),
      durationMs: Math.round(performance.now() - started),
      counts: gone === undefined,
    }
  }

  /** Gives every kept connection back, so that the cluster can pause. */
  async function stayAway(mode: Mode, away: Away): Promise<ClusterSweep> {
    await members.close()
    autoPause?.connected([])
    const at = new Date().toISOString()
    const report = {
      target: name,
      mode,
      at,
      durationMs: 0,
      instances: [],
      stayedAway: [{ target: name, ...away }],
    }
    return { report, instances: [], away: new Map(), joined: [], left: [] }
  }

  /** Finds the instances that may pause on their own, and gives the connections to them back. */
  async function leaveAlone(present: Member[]): Promise<Map<string, Away>> {
    if (autoPause === undefined) return new Map()
    const ids = present.map(({ id }) => id)
    const away = await autoPause.ofInstances(await members.host(), ids)
    await Promise.all([...away.keys()].map((id) => members.close(id)))
    autoPause.connected(ids.filter((id) => !away.has(id)))
    return away
  }

  async function sweepAll(mode: Mode, deadline: Deadline): Promise<ClusterSweep> {
    const { atMs, members: listed } = await members.list(deadline)
    const away = await leaveAlone(listed)
    const present = listed.filter(({ id }) => !away.has(id))
    const before = targets
    targets = new Map(
      listed.map(({ id, gate }) => [
        id,
        before.get(id) ?? targetOf(instanceTarget(name, id), gate),
      ]),
    )
    const [instances] = await Promise.all([
      Promise.all(present.map((member) => sweepMember(member, mode, deadline))),
      members.settled(),
    ])
    const stayedAway = [...away].map(([id, one]) => ({ target: instanceTarget(name, id), ...one }))
    const report = {
      target: name,
      mode,
      at: new Date(atMs).toISOString(),
      durationMs: 0,
      instances: instances.map(({ id, result }) => describe(instanceTarget(name, id), result)),
      ...(stayedAway.length > 0 && { stayedAway }),
    }
    const joined = [...targets.keys()].filter((id) => !before.has(id))
    const left = [...before.keys()].filter((id) => !targets.has(id))
    return { report, instances, away, joined, left }
  }

  return {
    name,
    async sweep(mode, deadline) {
      const started = performance.now()
      const away = await autoPause?.ofCluster(await members.host())
      const swept = await (away === undefined ? sweepAll(mode, deadline) : stayAway(mode, away))
      const durationMs = Math.round(performance.now() - started)
      return { ...swept, report: { ...swept.report, durationMs } }
    },
  }
}

function describe(target: string, result: InstanceSweep['result']) {
  if (!(result instanceof SlotkeeperError)) return result.report
  return { target, error: { kind: result.kind, message: result.message } }
}

/**
 * What to say of a failure that does not count. An instance that is gone stays in the cluster's list for up to five
 * minutes. Undefined if the failure counts.
 */
export function leaving(
  { isLeaving }: Member,
  error: SlotkeeperError,
): SlotkeeperError | undefined {
  if (!isLeaving || error.kind !== 'unreachable') return undefined
  return new SlotkeeperError(
    error.kind,
    `${error.message} The cluster has not heard from this instance for over a minute, so it is probably leaving: this does not count as a failure.`,
    { cause: error },
  )
}
