import { hint } from '../lambda/core/nearest.ts'
import { INCIDENT, type Policy, parsePolicy } from '../lambda/core/policy.ts'
import type { Mode } from '../lambda/core/report.ts'
import { safeJson } from '../lambda/core/text.ts'
import { messageOf, SlotkeeperError } from '../lambda/errors.ts'
import { readPolicyFile } from '../lambda/policy-file.ts'
import { findWaiting, type Waiting } from '../lambda/postgres/blocking.ts'
import {
  createGate,
  type Deadline,
  deadlineIn,
  type Gate,
  remaining,
  SWEEP_MS,
} from '../lambda/postgres/gate.ts'
import { type SweepResult, sweep } from '../lambda/sweep.ts'
import { sleeps } from './causes.ts'
import { readConnection, type Source } from './connection.ts'
import { writeOut } from './show.ts'
import { showSweep } from './show-sweep.ts'

export type SweepOptions = Source & {
  policy?: string
  reap?: boolean
  observe?: boolean
  json?: boolean
  all?: boolean
}

const LOOK_MS = 5_000

/** Runs one sweep and prints it. Returns the exit code, which is 1 if the server refused a reap. */
export async function runSweep(options: SweepOptions): Promise<number> {
  const mode = readMode(options)
  const policy = readPolicy(options.policy ?? INCIDENT)
  const { target, credentials, tls } = readConnection(options, process.env)
  const gate = createGate(credentials, tls)
  const deadline = deadlineIn(SWEEP_MS)
  try {
    const swept = await sweep(gate, { target, policy, mode }, deadline)
    const { report } = swept
    if (options.json) {
      writeOut(safeJson(report))
    } else {
      // If this query fails, the result of the sweep is still printed.
      const waiting = await findBlocked(gate, swept, deadline).catch(messageOf)
      const { policy: policyName, all = false } = options
      writeOut(showSweep({ ...swept, policy, policyName, waiting, all }))
    }
    return report.refused.length > 0 ? 1 : 0
  } finally {
    await gate.close()
  }
}

/** Mode `reap` only if the caller asks for it and names the policy. */
function readMode({ reap, observe, policy }: SweepOptions): Mode {
  if (!reap) return 'observe'
  if (observe) throw usage('--reap and --observe exclude each other; give only one of them')
  if (policy === undefined) {
    throw usage(
      `--reap needs a policy; expected --policy FILE, or --policy ${INCIDENT}, which ends each session that is idle for over 30 s, and every idle session when more than 5 are idle`,
    )
  }
  return 'reap'
}

/**
 * Finds the sessions that wait for locks. It asks only if one session is idle in a transaction and
 * another is active. It asks after the sweep, so that the sweep does not depend on the answer.
 */
async function findBlocked(
  gate: Gate,
  { snapshot }: SweepResult,
  deadline: Deadline,
): Promise<Waiting[]> {
  const { sessions, ownPid } = snapshot
  const works = sessions.some(({ pid, state }) => state === 'active' && pid !== ownPid)
  if (!works || !sessions.some(sleeps)) return []
  const link = gate.takeWarm() ?? (await gate.open(deadline))
  try {
    return await findWaiting(link, remaining(deadline, LOOK_MS))
  } finally {
    await gate.giveBack(link)
  }
}

/** @param named the name of a policy, or a file with one */
function readPolicy(named: string): Policy {
  const policy = named === INCIDENT ? parsePolicy(named) : readPolicyFile(named)
  if (policy.ok) return policy.value
  throw usage(
    `--policy ${named}: expected a file with a policy, or "${INCIDENT}"${hint(named, [INCIDENT])}: ${policy.problems.join('; ')}`,
  )
}

function usage(message: string): SlotkeeperError {
  return new SlotkeeperError('settings', message)
}
