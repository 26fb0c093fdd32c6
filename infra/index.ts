// What a CDK app can import from 'slotkeeper'.
export type {
  AlarmName,
  AlarmOptions,
  AlarmSetting,
  AlarmsByName,
  AlarmsDefaults,
  AlarmsOptions,
} from './alarm-options.ts'
export { ReaperAlarms, type ReaperAlarmsProps, TargetMetrics } from './alarms.ts'
export type { ServerBound } from './bounds.ts'
export { OverviewDashboard, ReaperDashboard, type ReaperDashboardProps } from './dashboard.ts'
export type { Database, DatabaseAddress } from './database.ts'
export type { Placement } from './network.ts'
export type { MetricName, MetricSet, MetricsVia, ReaperMode } from './options.ts'
export { type ConnectionParametersProps, connectionParameters } from './parameters.ts'
export type {
  PolicyCondition,
  PolicyDuration,
  PolicyInput,
  PolicyMatch,
  PolicyPercent,
  PolicyRule,
} from './policy.ts'
export type {
  Auth,
  CreateRoleProps,
  IamAuth,
  SecretAuth,
  SessionReaperProps,
} from './props.ts'
export { ReaperRole, type ReaperRoleProps } from './role.ts'
export { SessionReaper } from './session-reaper.ts'
