// What `import … from 'slotkeeper'` gives to a CDK app.
export type { PolicyInput } from '../lambda/core/policy.ts'
export type { AlarmName, AlarmSetting, AlarmSettings } from './alarm-settings.ts'
export { ReaperAlarms, TargetMetrics } from './alarms.ts'
export { OverviewDashboard, ReaperDashboard } from './dashboard.ts'
export type { Database, DatabaseAddress } from './database.ts'
export { type ConnectionParametersProps, connectionParameters } from './parameters.ts'
export { ReaperRole, type ReaperRoleProps } from './role.ts'
export { type Auth, SessionReaper, type SessionReaperProps } from './session-reaper.ts'
