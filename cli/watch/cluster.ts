import type { InstanceSweep } from '../../lambda/cluster.ts'
import { instanceTarget } from '../../lambda/core/cluster-report.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import type { Story } from './loop.ts'
import { begin, type Loss, lose, type Picture, type Subject, see } from './picture.ts'

/** What a look showed of the instances: the writer first, then the others by name. */
export type ClusterSight = Pick<InstanceSweep, 'id' | 'isWriter' | 'result' | 'counts'>[]

export type InstancePicture = {
  id: string
  isWriter: boolean
  picture: Picture
  /** Whether its failure counts: not if the cluster itself no longer hears from it. */
  counts: boolean
}

/** Everything that is shown of a cluster. Each look makes a new one of the last. */
export type ClusterPicture = Subject & {
  instances: InstancePicture[]
  /** If no instance could be looked at. */
  lost?: Loss
  /** Of all looks and instances, those that have left too. */
  totals: Picture['totals']
}

/** The picture of an instance before its first look. */
export function beginInstance(
  { target, mode, policy, policyName, everyMs }: Subject,
  id: string,
): Picture {
  return begin({ target: instanceTarget(target, id), mode, policy, policyName, everyMs })
}

export const clusterStory: Story<ClusterPicture, ClusterSight> = {
  begin: (subject) => ({ ...subject, instances: [], totals: begin(subject).totals }),
  see(before, sight, nowMs, startedMs) {
    const { lost, ...known } = before
    const earlier = new Map(known.instances.map(({ id, picture }) => [id, picture]))
    const instances = sight.map(({ id, isWriter, counts, result }) => {
      const was = earlier.get(id) ?? beginInstance(before, id)
      const picture =
        result instanceof SlotkeeperError ? lose(was, result, startedMs) : see(was, result, nowMs)
      return { id, isWriter, counts, picture }
    })
    const more = (of: 'reaped' | 'refused') =>
      instances.reduce(
        (sum, { id, picture }) => sum + picture.totals[of] - (earlier.get(id)?.totals[of] ?? 0),
        before.totals[of],
      )
    const totals = {
      looks: before.totals.looks + 1,
      reaped: more('reaped'),
      refused: more('refused'),
    }
    return { ...known, instances, totals }
  },
  lose(before, error, startedMs) {
    const { kind, message } = error
    const instances = before.instances.map((one) => ({
      ...one,
      picture: lose(one.picture, error, startedMs),
    }))
    const lost = { sinceMs: before.lost?.sinceMs ?? startedMs, kind, message }
    return { ...before, instances, lost }
  },
}
