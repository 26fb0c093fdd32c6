import { beforeAll, describe, expect, test } from 'vitest'
import type { Mode } from '../../lambda/core/report.ts'
import {
  alarmsOf,
  forMinutes,
  none,
  scenariosOf,
  testScenarios,
} from '../support/alarm-scenarios.ts'
import { type Minute, replay } from '../support/cloudwatch.ts'
import { recordStates, type States, server } from '../support/recorded-states.ts'

const alarms = alarmsOf({ host: 'shop.abc.eu-central-1.rds.amazonaws.com' })
const site = await server()
/** Filled before the first test. */
const state = {} as States
beforeAll(async () => {
  Object.assign(state, await recordStates(site))
})
testScenarios(alarms, scenariosOf(state))

describe('an alarm in state ALARM', () => {
  const lastStates = (mode: Mode, minutes: Minute[]) =>
    Object.fromEntries(
      Object.entries(alarms[mode]).map(([name, alarm]) => [
        name,
        replay(alarm, minutes, { beyond: 2, late: 1 }).at(-1),
      ]),
    )

  test.each<[string, keyof States]>([
    ['Silent', 'failing'],
    ['Exhausted', 'fullKept'],
    ['SlotsUsed', 'nearlyFull'],
    ['OldTransaction', 'openTransaction'],
    ['Leak', 'leak'],
    ['Refused', 'refused'],
  ])('%s returns to OK when its cause ends', (name, cause) => {
    const during = forMinutes(30, state[cause])
    expect(lastStates('reap', during)[name]).toBe('ALARM')
    expect(lastStates('reap', [...during, ...forMinutes(10, state.quiet)])[name]).toBe('OK')
  })

  test('Silent stays in ALARM while no metric arrives', () => {
    const silent = [...forMinutes(5, state.quiet), ...forMinutes(300, none)]
    expect(lastStates('reap', silent).Silent).toBe('ALARM')
    expect(lastStates('reap', [...silent, ...forMinutes(10, state.quiet)]).Silent).toBe('OK')
  })

  test('SlotsUsed stays in ALARM while a full server lets no sweep in', () => {
    const locked = [...forMinutes(5, state.fullKept), ...forMinutes(60, state.lockedOut)]
    expect(lastStates('reap', locked)).toMatchObject({ SlotsUsed: 'ALARM', Exhausted: 'ALARM' })
  })
})
