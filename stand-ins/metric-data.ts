/** One value that a service published at a time, s since the epoch. */
export type Sample = { at: number; value: number }

/** What services published, by `NAMESPACE/METRIC DIMENSION=VALUE`. */
export type Samples = Map<string, Sample[]>

/** A GetMetricData request, as the SDK sends it. */
export type MetricDataRequest = {
  MetricDataQueries?: Query[]
  /** Seconds since the epoch. */
  StartTime?: number
  EndTime?: number
  ScanBy?: string
  MaxDatapoints?: number
}

type Query = {
  Id?: string
  Expression?: string
  ReturnData?: boolean
  MetricStat?: {
    Metric?: {
      Namespace?: string
      MetricName?: string
      Dimensions?: { Name: string; Value: string }[]
    }
    Period?: number
    Stat?: string
  }
}

const MOST_QUERIES = 500
const MOST_DATAPOINTS = 100_800

const STATISTICS: Record<string, (values: number[]) => number> = {
  Maximum: (values) => values.reduce((a, b) => Math.max(a, b)),
  Minimum: (values) => values.reduce((a, b) => Math.min(a, b)),
  Sum: (values) => values.reduce((a, b) => a + b, 0),
  Average: (values) => values.reduce((a, b) => a + b, 0) / values.length,
  SampleCount: (values) => values.length,
}

/** What CloudWatch refuses, by its API reference of GetMetricData and MetricStat; true where it applies. */
export function faultsOf(request: MetricDataRequest): Record<string, boolean> {
  const { MetricDataQueries: queries = [], StartTime, EndTime, ScanBy, MaxDatapoints = 1 } = request
  const ids = queries.map(({ Id }) => Id ?? '')
  return {
    'MetricDataQueries is empty': queries.length === 0,
    [`more than ${MOST_QUERIES} queries`]: queries.length > MOST_QUERIES,
    'StartTime or EndTime is missing': !Number.isFinite(StartTime) || !Number.isFinite(EndTime),
    'StartTime must be less than EndTime': !((StartTime ?? 0) < (EndTime ?? 0)),
    'ScanBy is not known':
      ScanBy !== undefined && !/^Timestamp(Ascending|Descending)$/.test(ScanBy),
    'MaxDatapoints is out of range': MaxDatapoints < 1 || MaxDatapoints > MOST_DATAPOINTS,
    'an Id is missing, or does not begin with a lower-case letter': !ids.every((id) =>
      /^[a-z][a-zA-Z0-9_]{0,254}$/.test(id),
    ),
    'two queries have one Id': new Set(ids).size < ids.length,
    ...Object.assign({}, ...queries.map(faultsOfQuery)),
  }
}

function faultsOfQuery({ Id, Expression, MetricStat }: Query): Record<string, boolean> {
  const { Metric, Period = 0, Stat = '' } = MetricStat ?? {}
  const isPeriod = [1, 5, 10, 20, 30].includes(Period) || (Period > 0 && Period % 60 === 0)
  return {
    [`${Id} needs either Expression or MetricStat`]: !Expression === !MetricStat,
    [`${Id} has an Expression, which is not played here`]: Expression !== undefined,
    [`${Id} names no metric`]: !Metric?.Namespace || !Metric.MetricName,
    [`${Id} has a dimension without a name or a value`]: (Metric?.Dimensions ?? []).some(
      ({ Name, Value }) => !Name || !Value,
    ),
    [`${Id} has the period ${Period}`]: !isPeriod,
    [`${Id} has the statistic ${Stat}`]: !(Stat in STATISTICS),
  }
}

/** The answer: for each query one value for each period in which there are samples, the latest first. */
export function answerMetricData(request: MetricDataRequest, samples: Samples): object {
  const { MetricDataQueries = [], StartTime = 0, EndTime = 0, ScanBy } = request
  const results = MetricDataQueries.map(
    ({ Id, MetricStat: { Metric, Period = 60, Stat = '' } = {} }) => {
      const of = (Metric?.Dimensions ?? []).map(({ Name, Value }) => `${Name}=${Value}`).join(',')
      const all = samples.get(`${Metric?.Namespace}/${Metric?.MetricName} ${of}`) ?? []
      const periods = new Map<number, number[]>()
      for (const { at, value } of all) {
        const begins = Math.floor(at / Period) * Period
        // The first period is the one in which StartTime lies.
        if (begins < Math.floor(StartTime / Period) * Period || begins >= EndTime) continue
        periods.set(begins, [...(periods.get(begins) ?? []), value])
      }
      const newestFirst = [...periods].sort(([a], [b]) => b - a)
      const ordered = ScanBy === 'TimestampAscending' ? newestFirst.reverse() : newestFirst
      return {
        Id,
        Label: Metric?.MetricName,
        StatusCode: 'Complete',
        Timestamps: ordered.map(([begins]) => begins),
        Values: ordered.map(([, values]) => STATISTICS[Stat]?.(values)),
      }
    },
  )
  return { MetricDataResults: results, Messages: [] }
}
