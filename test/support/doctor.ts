import { diagnose } from '../../cli/doctor/diagnose.ts'
import type { Diagnosis, Finding, FindingId } from '../../cli/doctor/diagnosis.ts'
import { UNPINNED } from '../../cli/doctor/facts.ts'
import { type Observed, observe } from '../../cli/doctor/observe.ts'
import { createGate } from '../../lambda/postgres/gate.ts'
import type { Role, TestServer } from './server.ts'

/** Long enough for three looks. */
const WATCH_MS = 2_000

/** What the doctor sees of a server as a role. */
export async function watchAs(
  db: TestServer,
  role: Role,
  forMs = WATCH_MS,
  database = 'postgres',
): Promise<Observed> {
  const gate = createGate(async () => db.credentials(role, database), false, UNPINNED)
  try {
    return await observe(gate, 'test', forMs, new AbortController().signal)
  } finally {
    await gate.close()
  }
}

export async function diagnoseAs(...watched: Parameters<typeof watchAs>): Promise<Diagnosis> {
  return diagnose(await watchAs(...watched))
}

/** The findings with this id, of one role if it is given. */
export function found({ findings }: Diagnosis, id: FindingId, user?: string): Finding[] {
  return findings.filter(
    (finding) => finding.id === id && (user === undefined || finding.pool?.user === user),
  )
}

/** The SQL of a finding's remedies. */
export function sqlOf(finding: Finding | undefined): string[] {
  return (finding?.remedies ?? []).filter(({ kind }) => kind === 'sql').map(({ text }) => text)
}
