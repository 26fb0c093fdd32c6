import type { Pool } from '../../lambda/core/pool.ts'
import type { Slots } from '../../lambda/core/slots.ts'
import type { ServerKindName } from './facts.ts'

export const SEVERITIES = ['critical', 'warning', 'info'] as const
export type Severity = (typeof SEVERITIES)[number]

/** The findings, the one to look at first at the beginning. */
export const FINDING_IDS = [
  'full',
  'blocking',
  'hoard',
  'churn',
  'filling',
  'nearly-full',
  'idle-in-transaction',
  'behind-pooler',
  'blind',
  'never-used',
  'no-limit',
  'no-timeouts',
  'abandoned',
  'memory',
  'shared-role',
  'no-way-in',
  'pooler',
  'unnamed',
  'cannot-signal',
  'too-mighty',
] as const
export type FindingId = (typeof FINDING_IDS)[number]

/** `text` is ready to paste: SQL runs as it stands, and `policy` is JSON. */
export type Remedy = {
  kind: 'sql' | 'parameter' | 'application' | 'policy' | 'cdk'
  text: string
  why: string
}

/** A value of the evidence, or of the numbers of an option. */
export type Value = string | number | boolean | null | Value[] | { [name: string]: Value }
export type Evidence = Record<string, Value>

/** The pool that a finding is about. NULL where the sessions differ. */
export type FindingPool = { [field in keyof Pool]: Pool[field] | null }

export type Finding = {
  id: FindingId
  severity: Severity
  title: string
  evidence: Evidence
  pool?: FindingPool
  remedies: Remedy[]
}

/** What a pool holds and uses. Fields that the role may not see are NULL. */
export type PoolUse = Pool & {
  sessions: number
  busy: number | null
  /** The most at work at once, in any look. */
  peakBusy: number | null
  idleInTransaction: number | null
  oldestIdleSeconds: number | null
  /** Sessions without a query since they connected. */
  neverUsed: number | null
  openedPerMinute: number | null
}

export const OPTIONS = ['smaller-pools', 'pooler', 'stricter-policy', 'raise-limit'] as const
export type OptionName = (typeof OPTIONS)[number]

export type PlanOption = { option: OptionName; take: boolean; why: string; numbers: Evidence }

export type Diagnosis = {
  target: string
  /** When the last look was taken, by the server's clock (ISO 8601, UTC). */
  at: string
  watchedSeconds: number
  server: { version: number; kind: ServerKindName }
  slots: Slots
  /** Most sessions first. */
  pools: PoolUse[]
  /** Worst first. */
  findings: Finding[]
  plan: PlanOption[]
}

const severityRank = (severity: Severity) => SEVERITIES.indexOf(severity)
const idRank = (id: FindingId) => FINDING_IDS.indexOf(id)

export function worstFirst(findings: Finding[]): Finding[] {
  return [...findings].sort(
    (a, b) => severityRank(a.severity) - severityRank(b.severity) || idRank(a.id) - idRank(b.id),
  )
}

/** Whether something is worse than `info`. */
export function hasFindings({ findings }: Diagnosis): boolean {
  return findings.some(({ severity }) => severity !== 'info')
}
