import { readFileSync } from 'node:fs'
import { type Policy, parsePolicy, parsePolicyText } from '../lambda/core/policy.ts'
import { safeJson } from '../lambda/core/text.ts'
import { messageOf, SlotkeeperError } from '../lambda/errors.ts'
import { createGate, deadlineIn, SWEEP_MS } from '../lambda/postgres/entry.ts'
import { sweep } from '../lambda/sweep.ts'
import { readConnection, type Source } from './connection.ts'
import { showSweep, writeOut } from './show.ts'

export type SweepOptions = Source & { policy?: string; observe?: boolean; json?: boolean }

/** One sweep from a terminal. Returns the exit code: 1 where a reap was refused. */
export async function runSweep(options: SweepOptions): Promise<number> {
  const policy = readPolicyFile(options.policy)
  const { target, credentials, tls } = readConnection(options, process.env)
  const gate = createGate(credentials, tls)
  try {
    const mode = options.observe ? 'observe' : 'reap'
    const { report, verdicts } = await sweep(gate, { target, policy, mode }, deadlineIn(SWEEP_MS))
    writeOut(options.json ? safeJson(report) : showSweep(report, verdicts))
    return report.refused.length > 0 ? 1 : 0
  } finally {
    await gate.close()
  }
}

function readPolicyFile(file: string | undefined): Policy {
  const parsed = file === undefined ? parsePolicy({}) : parsePolicyText(read(file))
  if (parsed.ok) return parsed.value
  throw new SlotkeeperError(
    'settings',
    `${file} is not a valid policy: ${parsed.problems.join('; ')}`,
  )
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new SlotkeeperError('settings', `the policy could not be read: ${messageOf(error)}`)
  }
}
