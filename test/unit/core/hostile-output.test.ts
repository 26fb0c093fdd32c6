import { describe, expect, test } from 'vitest'
import { embedded } from '../../../lambda/aws/metrics.ts'
import { distribution } from '../../../lambda/core/measurements.ts'
import { printable, safeJson } from '../../../lambda/core/text.ts'
import { RUNS } from '../../support/arbitrary.ts'
import { hostileKey, hostileText, isHarmless, json } from '../../support/hostile.ts'
import { fc } from '../../support/seeded.ts'

describe('a distribution', () => {
  const ages = fc.oneof(
    fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { maxLength: 300, size: 'max' }),
    fc.array(fc.nat(100_000), { maxLength: 1_000, size: 'max' }),
  )
  test('of any ages keeps their count and sum', () => {
    fc.assert(
      fc.property(ages, (samples) => {
        const { values, counts } = distribution('IdleAge', 'Seconds', samples)
        const total = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0)
        expect(values.length).toBeLessThanOrEqual(100)
        expect(values.every(Number.isFinite)).toBe(true)
        expect(counts.every((given) => Number.isInteger(given) && given > 0)).toBe(true)
        expect(total(counts)).toBe(samples.length)
        const sum = total(values.map((value, index) => value * (counts[index] ?? 0)))
        // Each sample is rounded to a tenth at most.
        const tolerance = 0.05 * samples.length + 1e-9 * total(samples) + 1e-9
        expect(Math.abs(sum - total(samples))).toBeLessThanOrEqual(tolerance)
      }),
      { numRuns: 100 },
    )
  })
})

describe('output', () => {
  test('as JSON has no terminal control characters and parses to the same value', () => {
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 3 },
        hostileText,
        json,
        fc.dictionary(hostileKey, tie('node'), { maxKeys: 4 }),
      ),
    })).node
    fc.assert(
      fc.property(tree, (value) => {
        const line = safeJson(value)
        expect(isHarmless(line)).toBe(true)
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      RUNS,
    )
  })

  test('as text has no terminal control characters, and harmless text stays unchanged', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        expect(isHarmless(printable(text))).toBe(true)
        if (isHarmless(text)) expect(printable(text)).toBe(text)
      }),
      RUNS,
    )
  })

  test('in the embedded metric format declares each metric, whatever the name of the target', () => {
    const measurement = fc.record({
      name: fc.constantFrom('IdleAge', 'SlotsUsed', 'SweepSucceeded'),
      unit: fc.constantFrom('Count' as const, 'Seconds' as const),
      values: fc.array(fc.nat(), { minLength: 1, maxLength: 100 }),
    })
    const measurements = fc
      .uniqueArray(measurement, { selector: (given) => given.name })
      .map((list) => list.map((given) => ({ ...given, counts: given.values.map(() => 1) })))
    fc.assert(
      fc.property(
        measurements,
        hostileText,
        hostileText,
        fc.nat(),
        (given, target, namespace, at) => {
          const destination = { via: 'emf', target, namespace } as const
          const line = JSON.parse(safeJson(embedded(given, destination, at)))
          expect(line.Target).toBe(target)
          const [directive] = line._aws.CloudWatchMetrics
          expect(line._aws.Timestamp).toBe(at)
          expect(directive).toMatchObject({ Namespace: namespace, Dimensions: [['Target']] })
          expect(directive.Metrics).toEqual(
            given.map(({ name, unit }) => ({ Name: name, Unit: unit })),
          )
          for (const { name, values } of given) expect([line[name]].flat()).toEqual(values)
        },
      ),
      RUNS,
    )
  })
})
