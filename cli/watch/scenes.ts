import { safeJson } from '../../lambda/core/text.ts'
import type { SweepResult } from '../../lambda/sweep.ts'
import { beginInstance, type ClusterPicture, type ClusterSight, clusterStory } from './cluster.ts'
import { clusterView, pressInCluster } from './cluster-view.ts'
import { press } from './controls.ts'
import type { Face } from './full-screen.ts'
import { describeLook } from './lines.ts'
import type { Known, Story } from './loop.ts'
import { begin, lose, type Picture, see } from './picture.ts'
import { view } from './view.ts'

/** How a watch tells what it sees: on the whole terminal, in lines, or as JSON. */
export type Scene<P extends Known, S> = Story<P, S> &
  Face<P> & {
    /** What a look adds, a line each. */
    lines(before: P, now: P): string[]
    json(now: P): string[]
    /** Whether something is wrong at the end that no error tells. */
    isClean(picture: P): boolean
  }

export const serverScene: Scene<Picture, SweepResult> = {
  begin,
  see,
  lose,
  view,
  press: (controls, key, { sight }) => press(controls, key, sight?.pools ?? []),
  lines: describeLook,
  json: ({ lost, sight }) => {
    const { kind, message } = lost ?? {}
    return [safeJson(lost ? { error: { kind, message } } : sight?.report)]
  },
  isClean: ({ totals }) => totals.refused === 0,
}

export const clusterScene: Scene<ClusterPicture, ClusterSight> = {
  ...clusterStory,
  view: clusterView,
  press: pressInCluster,
  lines(before, now) {
    const earlier = new Map(before.instances.map(({ id, picture }) => [id, picture]))
    const present = new Set(now.instances.map(({ id }) => id))
    const left = [...earlier.keys()].filter((id) => !present.has(id))
    return [
      ...now.instances.flatMap(({ id, picture }) =>
        describeLook(earlier.get(id) ?? beginInstance(now, id), picture).map(
          (line) => `${id} ${line}`,
        ),
      ),
      ...left.map((id) => `${id} has left the cluster`),
    ]
  },
  json: ({ target, lost, instances }) => {
    if (lost) return [safeJson({ target, error: { kind: lost.kind, message: lost.message } })]
    return instances.map(({ picture: { target: of, lost: failure, sight } }) =>
      safeJson(
        failure
          ? { target: of, error: { kind: failure.kind, message: failure.message } }
          : sight?.report,
      ),
    )
  },
  isClean: ({ totals, instances }) =>
    totals.refused === 0 && instances.every(({ picture, counts }) => !picture.lost || !counts),
}
