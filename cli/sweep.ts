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

/** One sweep from a terminal. Returns the exit code: 1 where a reap was refused. */
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
      // What the sweep did is told, whatever becomes of this look.
      const waiting = await findBlocked(gate, swept, deadline).catch(messageOf)
      const { policy: policyName, all = false } = options
      writeOut(showSweep({ ...swept, policy, policyName, waiting, all }))
    }
    return report.refused.length > 0 ? 1 : 0
  } finally {
    await gate.close()
  }
}

/** Nobody is ended unless the caller asked for it, and named the policy. */
function readMode({ reap, observe, policy }: SweepOptions): Mode {
  if (!reap) return 'observe'
  if (observe) throw usage('--reap and --observe exclude each other; expected one of them')
  if (policy === undefined) {
    throw usage(
      `--reap needs a policy; expected --policy FILE, or --policy ${INCIDENT}: it ends sessions that are idle for over 30 s, and every idle session once more than 5 are idle`,
    )
  }
  return 'reap'
}

/**
 * Who waits for locks: asked where somebody idles in a transaction and somebody works, and after the
 * sweep, which must not hang on it.
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

/** The name of a policy, or a file that holds one. */
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
