/**
 * `reap` ends sessions. `observe` ends no session, and only reports which ones the policy would end.
 * @example 'observe'
 */
export type ReaperMode = 'reap' | 'observe'

/**
 * How the metrics reach CloudWatch: `cloudwatch` calls its API, `emf` writes log lines in the embedded
 * metric format.
 * @example 'emf'
 */
export type MetricsVia = 'cloudwatch' | 'emf'

/**
 * `full` publishes all metrics, `essential` only the four that the most important alarms need.
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
  | 'Paused'
