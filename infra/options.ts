/**
 * `reap` ends sessions, `observe` only looks.
 * @example 'observe'
 */
export type ReaperMode = 'reap' | 'observe'

/**
 * How the metrics reach CloudWatch: by its API, or as log lines in the embedded metric format.
 * @example 'emf'
 */
export type MetricsVia = 'cloudwatch' | 'emf'

/**
 * All metrics, or the four that the most important alarms need.
 * @example 'essential'
 */
export type MetricSet = 'full' | 'essential'

/**
 * The metrics that the function publishes.
 * @example 'SlotsUsedPercent'
 */
export type MetricName =
  | 'SlotsMax'
  | 'SlotsReserved'
  | 'SlotsUsed'
  | 'SlotsAvailable'
  | 'SlotsUsedPercent'
  | 'SessionsActive'
  | 'SessionsIdle'
  | 'SessionsIdleInTransaction'
  | 'SessionsOpened'
  | 'IdleAge'
  | 'OldestTransactionAge'
  | 'SessionsReaped'
  | 'SessionsWouldReap'
  | 'SessionsSpared'
  | 'ReapsRefused'
  | 'Exhausted'
  | 'SweepSucceeded'
  | 'SweepDuration'
