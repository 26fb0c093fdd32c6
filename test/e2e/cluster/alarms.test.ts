import { beforeAll, expect, test } from 'vitest'
import {
  alarmsOf,
  forMinutes,
  none,
  scenariosOf,
  testScenarios,
} from '../../support/alarm-scenarios.ts'
import { CLUSTER } from '../../support/aurora.ts'
import { type AlarmProperties, type Minute, replay } from '../../support/cloudwatch.ts'
import { cluster, recordPaused, recordStates, type States } from '../../support/recorded-states.ts'

// Each state is that of one reader, while the writer is quiet. The alarms are those of the cluster.

const alarms = alarmsOf({ host: CLUSTER, cluster: true })
const site = await cluster()
/** Filled before the first test. */
const state = {} as States
let paused: Minute = {}
beforeAll(async () => {
  paused = await recordPaused(site)
  Object.assign(state, await recordStates(site))
})

testScenarios(alarms, [
  ...scenariosOf(state),
  [
    'paused, and the sweep stays away',
    'reap',
    () => [
      ...forMinutes(10, state.quiet),
      ...forMinutes(60, paused),
      ...forMinutes(10, state.quiet),
    ],
    {},
  ],
  [
    'paused, and no sweep any more',
    'reap',
    () => [...forMinutes(10, paused), ...forMinutes(30, none)],
    { Silent: 14 },
  ],
])

test('SlotsUsed stays in ALARM while a full reader lets no sweep in, though the writer has room', () => {
  const minutes = [...forMinutes(5, state.fullKept), ...forMinutes(60, state.lockedOut)]
  const last = (name: string) =>
    replay(alarms.reap[name] as AlarmProperties, minutes, { beyond: 2, late: 1 }).at(-1)
  expect(['SlotsUsed', 'Exhausted', 'Silent'].map(last)).toEqual(['ALARM', 'ALARM', 'ALARM'])
})
