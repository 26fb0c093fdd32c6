import { slotsBarParts } from '../show.ts'
import type { ClusterPicture, InstancePicture } from './cluster.ts'
import { type Controls, type Key, press } from './controls.ts'
import { banners, historyLine, title } from './head.ts'
import { begin } from './picture.ts'
import { type Line, pad, type Screen } from './text.ts'
import { arrange, type Keys } from './view.ts'

const KEYS: Keys = {
  pools: 'q quit  p pause  s sort  tab instance  up/down choose  enter sessions  h help',
  sessions: 'q quit  p pause  tab instance  up/down scroll  esc back  h help',
  help: 'q quit  h back',
}
const BAR = 24
/** The share of the screen's rows for the instances. */
const SHARE = 3

/** The whole screen: the slots of every instance, and below them the pools and sessions of the chosen one. */
export function clusterView(
  picture: ClusterPicture,
  controls: Controls,
  screen: Screen,
  nowMs: number,
): Line[] {
  const { instances } = picture
  const at = chosenAt(instances, controls)
  const one = instances[at]?.picture ?? begin(picture)
  const room = Math.max(1, Math.floor(screen.rows / SHARE))
  const from = Math.max(0, Math.min(at - Math.floor(room / 2), instances.length - room))
  const width = Math.max(0, ...instances.map(({ id }) => id.length))
  const top = [
    title({ ...one, target: picture.target }),
    ...instances
      .slice(from, from + room)
      .map((instance) => instanceLine(instance, instance === instances[at], width)),
    ...(one.sight ? [historyLine(one, one.sight, screen, nowMs)] : []),
    ...banners(one, controls, screen, nowMs),
  ]
  return arrange(top, KEYS, one, controls, screen, nowMs)
}

/** What a key changes. */
export function pressInCluster(
  controls: Controls,
  key: Key,
  { instances }: ClusterPicture,
): Controls {
  const at = chosenAt(instances, controls)
  if (key.name !== 'tab') return press(controls, key, instances[at]?.picture.sight?.pools ?? [])
  const next = instances[(at + 1) % instances.length]
  return next ? { ...controls, instance: next.id, scrolled: 0 } : controls
}

function chosenAt(instances: InstancePicture[], { instance }: Controls): number {
  return Math.max(
    0,
    instances.findIndex(({ id }) => id === instance),
  )
}

function instanceLine(
  { id, isWriter, picture, counts }: InstancePicture,
  isChosen: boolean,
  width: number,
): Line {
  const { sight, lost } = picture
  const name = `${isChosen ? '>' : ' '} ${pad(id, width, false)} ${isWriter ? 'writer' : 'reader'} `
  const start: Line = [
    { text: name, ...(isChosen && { style: 'inverse' as const }) },
    { text: ' ' },
  ]
  if (lost) {
    const text = counts ? `LOOKS FAIL: ${lost.kind}` : 'is leaving'
    return [...start, { text, style: counts ? 'red' : 'dim' }]
  }
  if (!sight) return start
  const { slots, sessions } = sight.report
  const parts = slotsBarParts(slots, BAR)
  return [
    ...start,
    { text: parts.used, style: parts.style },
    { text: parts.free },
    { text: parts.reserve, style: 'dim' },
    { text: ` ${slots.usedPercent} %`, style: parts.style },
    {
      text: `: ${slots.used} of ${slots.max - slots.reserved}, ${sessions.idle} idle, ${sessions.active} active`,
    },
  ]
}
