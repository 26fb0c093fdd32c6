import {
  distribution,
  type Measurement,
  type MetricName,
  type MetricSet,
  measureFailure,
} from './measurements.ts'

/** The metrics of one instance, and how they count for the whole cluster. */
export type InstanceMeasurements = {
  id: string
  measurements: Measurement[]
  /** `full`: its sweep failed, and the server was full. `leaving`: its failure does not count. */
  state: 'swept' | 'failed' | 'full' | 'leaving'
}

/** How a metric of several instances becomes one of the cluster. */
type Rule = keyof typeof FOLDS | 'worst instance' | 'merge'

const FOLDS = {
  sum: (a: number, b: number) => a + b,
  greatest: (a: number, b: number) => Math.max(a, b),
  least: (a: number, b: number) => Math.min(a, b),
  /** The value of the whole sweep, not of its instances. */
  whole: (value: number) => value,
}

/**
 * Counts of sessions are sums, and of gauges the worst instance counts. The gauges of slots are all those of one
 * instance, the one with the greatest `SlotsUsedPercent`, so that they fit together.
 */
const RULES: Record<MetricName, Rule> = {
  SlotsMax: 'worst instance',
  SlotsReserved: 'worst instance',
  SlotsUsed: 'worst instance',
  SlotsAvailable: 'worst instance',
  SlotsUsedPercent: 'worst instance',
  SessionsActive: 'sum',
  SessionsIdle: 'sum',
  SessionsIdleInTransaction: 'sum',
  SessionsOpened: 'sum',
  IdleAge: 'merge',
  OldestTransactionAge: 'greatest',
  SessionsReaped: 'sum',
  SessionsWouldReap: 'sum',
  SessionsSpared: 'sum',
  ReapsRefused: 'sum',
  Exhausted: 'greatest',
  SweepSucceeded: 'least',
  SweepDuration: 'whole',
  Paused: 'least',
}

/**
 * The metrics of a cluster, from those of its instances. A metric that no instance has is absent.
 * @param durationMs of the whole sweep
 */
export function combine(instances: InstanceMeasurements[], durationMs: number): Measurement[] {
  // An instance that is leaving is no part of the cluster's state.
  const counted = instances.filter(({ state }) => state !== 'leaving')
  const all = counted.flatMap(({ measurements }) => measurements)
  const worst = worstOf(counted) ?? []
  return [...new Set(all.map(({ name }) => name))].flatMap((name) => {
    const rule = RULES[name]
    if (rule === 'worst instance') return worst.filter((measurement) => measurement.name === name)
    const each = all.filter((measurement) => measurement.name === name)
    return each.slice(0, 1).map((first): Measurement => {
      if (rule === 'merge') return distribution(name, first.unit, each.flatMap(samples))
      const values =
        rule === 'whole' ? [durationMs] : each.flatMap((measurement) => measurement.values)
      return { ...first, values: [values.reduce(FOLDS[rule])], counts: [1] }
    })
  })
}

/**
 * The metrics of the instance with the least room. Undefined if an instance is full and lets no sweep in: its
 * numbers are not known, and those of another one would say that there is room.
 */
function worstOf(instances: InstanceMeasurements[]): Measurement[] | undefined {
  if (instances.some(({ state }) => state === 'full')) return undefined
  const percent = ({ measurements }: InstanceMeasurements) =>
    measurements.find(({ name }) => name === 'SlotsUsedPercent')?.values[0] ?? -1
  return [...instances].sort((a, b) => percent(b) - percent(a))[0]?.measurements
}

function samples({ values, counts }: Measurement): number[] {
  return values.flatMap((value, index) => Array<number>(counts[index] ?? 1).fill(value))
}

/** The metrics of a cluster and, in the full set, those of each of its instances. */
export function measureCluster(
  instances: InstanceMeasurements[],
  durationMs: number,
  set: MetricSet,
): Measurement[] {
  const combined = combine(instances, durationMs)
  // If only instances that are leaving were listed, nothing was swept.
  const whole = combined.length > 0 ? combined : measureFailure(false, durationMs, set)
  if (set !== 'full') return whole
  const each = instances.flatMap(({ id, measurements }) =>
    measurements.map((measurement) => ({ ...measurement, instance: id })),
  )
  return [...whole, ...each]
}
