import { describe, expect, test } from 'vitest'
import {
  type AlarmProperties,
  type AlarmState,
  calculate,
  evaluate,
  type Minute,
  replay,
} from '../../support/cloudwatch.ts'

const alarmOf = (needed: number, TreatMissingData: string): AlarmProperties => ({
  Namespace: 'N',
  MetricName: 'm',
  Statistic: 'Sum',
  Threshold: 0,
  ComparisonOperator: 'GreaterThanThreshold',
  EvaluationPeriods: 3,
  DatapointsToAlarm: needed,
  TreatMissingData,
})
const points = (written: string) => written.split(' ').map((point) => ({ '0': 0, X: 1 })[point])
const TREATMENTS = ['missing', 'ignore', 'breaching', 'notBreaching']

// The two tables of AWS's user guide. `retained` stands for the state before, whichever it was.
describe.each<AlarmState>(['INSUFFICIENT_DATA', 'OK', 'ALARM'])(
  'an alarm in state %s',
  (before) => {
    test.each<[number, string, string]>([
      [3, '0 - X - X', 'OK OK OK OK'],
      [3, '0 - - - -', 'OK OK OK OK'],
      [3, '- - - - -', 'INSUFFICIENT_DATA retained ALARM OK'],
      [3, '0 X X - X', 'ALARM ALARM ALARM ALARM'],
      [3, '- - - - X', 'INSUFFICIENT_DATA retained ALARM OK'],
      [3, '- - X - -', 'ALARM retained ALARM OK'],
      [3, 'X - - - -', 'ALARM retained ALARM OK'],
      [2, '0 - X - X', 'ALARM ALARM ALARM ALARM'],
      [2, '0 0 X 0 X', 'ALARM ALARM ALARM ALARM'],
      [2, '0 - X - -', 'OK OK ALARM OK'],
      [2, '- - - - 0', 'OK OK ALARM OK'],
      [2, '- - - - X', 'INSUFFICIENT_DATA retained ALARM OK'],
    ])('%d of 3, %s', (needed, written, expected) => {
      const states = TREATMENTS.map((treatment) =>
        evaluate(alarmOf(needed, treatment), points(written), before),
      )
      expect(states).toEqual(expected.replace('retained', before).split(' '))
    })
  },
)

describe('metric math', () => {
  const known = new Map([
    ['a', points('- X - 0 -')],
    ['b', points('- 0 X - -')],
  ])

  test.each([
    ['a', '- X - 0 -'],
    ['FILL(a, 0)', '0 X 0 0 0'],
    ['FILL(a, REPEAT)', '- X X 0 0'],
    ['IF(a, b)', '- 0 - - -'],
    ['IF(FILL(b, 1), a)', '0 - 0 0 0'],
    ['a - a', '- 0 - 0 -'],
  ])('%s', (expression, expected) => {
    expect(calculate(expression, known)).toEqual(points(expected))
  })

  test('missing data counts as 0 beside a value', () => {
    expect(calculate('a - b', known)).toEqual([undefined, 1, -1, 0, undefined])
  })

  test.each(['c', 'IF(a', 'a b', 'MAX(a)', ''])('%s is refused as an expression', (expression) => {
    expect(() => calculate(expression, known)).toThrow()
  })
})

test('data of the last minutes may be late', () => {
  const alarm = alarmOf(1, 'notBreaching')
  const minutes: Minute[] = [{ 'N/m': [0, 1] }, {}, {}, {}, {}, {}, {}]
  const whenAlarmed = (late: number) => replay(alarm, minutes, { beyond: 0, late }).indexOf('ALARM')
  expect([whenAlarmed(0), whenAlarmed(1)]).toEqual([0, 1])
})
