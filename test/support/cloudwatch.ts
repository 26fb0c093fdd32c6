/** What CloudWatch has of one minute: the samples of each metric, by namespace and name. */
export type Minute = Record<string, number[]>

export type AlarmState = 'INSUFFICIENT_DATA' | 'OK' | 'ALARM'

type MetricReference = { Namespace: string; MetricName: string }

/** The properties of an `AWS::CloudWatch::Alarm` that decide on its state. */
export type AlarmProperties = {
  Namespace?: string
  MetricName?: string
  Statistic?: string
  Metrics?: {
    Id: string
    Expression?: string
    MetricStat?: { Metric: MetricReference; Stat: string; Period: number }
    ReturnData?: boolean
  }[]
  Period?: number
  Threshold: number
  ComparisonOperator: string
  EvaluationPeriods: number
  DatapointsToAlarm: number
  TreatMissingData: string
}

/** What CloudWatch does not say about itself; an alarm has to do its work with any of it. */
export type Conditions = {
  /** How many data points it asks for beyond the evaluation periods: some, and 2 in its own examples. */
  beyond: number
  /** The data of so many last minutes has not come in yet. */
  late: number
}

/** A data point, or none. */
type Point = number | undefined

/**
 * The state of an alarm at each minute after its creation, by CloudWatch's rules of evaluation.
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
 */
export function replay(
  alarm: AlarmProperties,
  minutes: Minute[],
  { beyond, late }: Conditions,
): AlarmState[] {
  const range = alarm.EvaluationPeriods + beyond
  let state: AlarmState = 'INSUFFICIENT_DATA'
  return minutes.map((_, now) => {
    const seen = Array.from({ length: range }, (_, index) => {
      const at = now - range + 1 + index
      return at > now - late ? {} : (minutes[at] ?? {})
    })
    state = evaluate(alarm, pointsOf(alarm, seen), state)
    return state
  })
}

/** The next state, from the data points of the evaluation range, the oldest first. */
export function evaluate(alarm: AlarmProperties, points: Point[], state: AlarmState): AlarmState {
  const { EvaluationPeriods: periods, DatapointsToAlarm: needed, TreatMissingData: missing } = alarm
  const real = points.filter((point) => point !== undefined)
  const breaching = (some: number[]) => some.filter((point) => breaches(alarm, point)).length
  const judge = (count: number) => (count >= needed ? 'ALARM' : 'OK')
  if (real.length >= periods) return judge(breaching(real.slice(-periods)))

  const filled = missing === 'breaching' ? periods - real.length : 0
  if (missing === 'breaching' || missing === 'notBreaching') return judge(breaching(real) + filled)
  // What is missing is left out where what there is decides.
  if (breaching(real) < real.length) return judge(breaching(real))
  if (missing === 'ignore') return state
  const oldest = points.findIndex((point) => point !== undefined)
  const age = oldest < 0 ? 0 : points.length - oldest
  return age >= needed ? 'ALARM' : 'INSUFFICIENT_DATA'
}

function breaches({ ComparisonOperator, Threshold }: AlarmProperties, point: number): boolean {
  switch (ComparisonOperator) {
    case 'GreaterThanThreshold':
      return point > Threshold
    case 'LessThanThreshold':
      return point < Threshold
    default:
      throw new Error(`no such comparison here: ${ComparisonOperator}`)
  }
}

function pointsOf(alarm: AlarmProperties, minutes: Minute[]): Point[] {
  const { Namespace = '', MetricName = '', Statistic = '', Metrics, Period } = alarm
  if (!Metrics) return statistics(minutes, { Namespace, MetricName }, Statistic, Period)
  const known = new Map<string, Point[]>()
  for (const { Id, MetricStat } of Metrics) {
    if (!MetricStat) continue
    const { Metric, Stat, Period } = MetricStat
    known.set(Id, statistics(minutes, Metric, Stat, Period))
  }
  const [result] = Metrics.filter(({ ReturnData }) => ReturnData !== false)
  return calculate(result?.Expression ?? '', known)
}

function statistics(
  minutes: Minute[],
  { Namespace, MetricName }: MetricReference,
  statistic: string,
  period = 60,
): Point[] {
  if (period !== 60) throw new Error(`no such period here: ${period} s`)
  return minutes.map((minute) => {
    const samples = minute[`${Namespace}/${MetricName}`]
    if (!samples || samples.length === 0) return undefined
    if (statistic === 'Sum') return samples.reduce((a, b) => a + b, 0)
    if (statistic === 'Maximum') return samples.reduce((a, b) => Math.max(a, b))
    throw new Error(`no such statistic here: ${statistic}`)
  })
}

/**
 * As much of metric math as the alarms here use: `IF` of two time series, `FILL` with a number or
 * REPEAT, and a difference, in which what is missing counts as 0 where the other side has a value.
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
 */
export function calculate(expression: string, known: ReadonlyMap<string, Point[]>): Point[] {
  const words = expression.match(/[A-Za-z_]\w*|\d+|[-(),]/g) ?? []
  const take = (expected?: string): string => {
    const word = words.shift()
    if (word === undefined || (expected !== undefined && word !== expected)) {
      throw new Error(`${expression}: found ${word}, expected ${expected ?? 'more'}`)
    }
    return word
  }
  const term = (): Point[] => {
    const word = take()
    if (word === 'IF') {
      take('(')
      const condition = sum()
      take(',')
      const value = sum()
      take(')')
      return condition.map((point, index) => (point ? (value[index] ?? 0) : undefined))
    }
    if (word === 'FILL') {
      take('(')
      const series = sum()
      take(',')
      const filler = take()
      take(')')
      let last: Point
      return series.map((point) => {
        last = point ?? last
        return point ?? (filler === 'REPEAT' ? last : Number(filler))
      })
    }
    const series = known.get(word)
    if (!series) throw new Error(`${expression}: ${word} is not known`)
    return series
  }
  const sum = (): Point[] => {
    let left = term()
    while (words[0] === '-') {
      take('-')
      const right = term()
      left = left.map((point, index) =>
        point === undefined && right[index] === undefined
          ? undefined
          : (point ?? 0) - (right[index] ?? 0),
      )
    }
    return left
  }
  const result = sum()
  if (words.length > 0) throw new Error(`${expression}: ${words.join(' ')} is left over`)
  return result
}
