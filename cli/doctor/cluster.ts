import { leaving } from '../../lambda/cluster.ts'
import { type InstanceFailure, instanceTarget } from '../../lambda/core/cluster-report.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import type { Member } from '../../lambda/members.ts'
import { deadlineIn } from '../../lambda/postgres/gate.ts'
import { openCluster } from '../cluster-option.ts'
import type { Connection } from '../connection.ts'
import { EXIT_REFUSED, exitCodes } from '../exit-codes.ts'
import { asFailure, LOOK_MS } from '../looks.ts'
import { type Diagnosis, hasFindings } from './diagnosis.ts'
import { examine } from './examine.ts'
import { UNPINNED } from './facts.ts'
import { explainNoWayIn } from './no-way-in.ts'

/** What is wrong with one instance, or why it can't be said. */
export type Examined = {
  id: string
  target: string
  isWriter: boolean
  result: Diagnosis | SlotkeeperError
  /** Whether its failure counts: not if the cluster itself no longer hears from it. */
  counts: boolean
}

/** What `doctor --cluster --json` prints: the writer first, then the others by name. */
export type ClusterDiagnosis = { target: string; instances: (Diagnosis | InstanceFailure)[] }

/**
 * Watches all instances that the cluster has at the beginning, side by side.
 * @throws SlotkeeperError if there is no list of them, or nothing can be said of any of them
 */
export async function examineCluster(
  connection: Connection,
  forMs: number,
  stop: AbortSignal,
): Promise<Examined[]> {
  const members = openCluster(connection, UNPINNED)
  try {
    const list = await members.list(deadlineIn(LOOK_MS))
    const [instances] = await Promise.all([
      Promise.all(list.members.map((one) => examineMember(one, connection.target, forMs, stop))),
      members.settled(),
    ])
    const failures = instances.map(({ result }) => result instanceof SlotkeeperError && result)
    if (failures[0] && !failures.includes(false)) throw failures[0]
    return instances
  } finally {
    await members.close()
  }
}

async function examineMember(
  member: Member,
  cluster: string,
  forMs: number,
  stop: AbortSignal,
): Promise<Examined> {
  const { id, isWriter, gate } = member
  const target = instanceTarget(cluster, id)
  const result = await examine(gate, target, forMs, stop, `${id}: `).catch(asFailure)
  if (!(result instanceof SlotkeeperError)) {
    return { id, target, isWriter, result, counts: true }
  }
  const gone = leaving(member, result)
  const told = result.kind === 'exhausted' ? explainNoWayIn(result) : result
  return { id, target, isWriter, result: gone ?? told, counts: gone === undefined }
}

export function reportOf(target: string, instances: Examined[]): ClusterDiagnosis {
  return {
    target,
    instances: instances.map(({ target: of, result }) =>
      result instanceof SlotkeeperError
        ? { target: of, error: { kind: result.kind, message: result.message } }
        : result,
    ),
  }
}

/** The greatest exit code that a diagnosis of a single instance would have had. */
export function worstExit(instances: Examined[]): number {
  const codes = instances.map(({ result, counts }) => {
    if (result instanceof SlotkeeperError) return counts ? exitCodes[result.kind] : 0
    return hasFindings(result) ? EXIT_REFUSED : 0
  })
  return Math.max(0, ...codes)
}
