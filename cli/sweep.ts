import { Command } from 'commander'
import { INCIDENT } from '../lambda/core/policy.ts'
import { safeJson } from '../lambda/core/text.ts'
import { messageOf } from '../lambda/errors.ts'
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
import { withCluster } from './cluster-option.ts'
import { readConnection, type Source } from './connection.ts'
import { type ModeOptions, readMode } from './mode.ts'
import { readPolicy } from './policy-option.ts'
import { withServer } from './server-options.ts'
import { writeOut } from './show.ts'
import { showSweep } from './show-sweep.ts'
import { runClusterSweep } from './sweep-cluster.ts'

type SweepOptions = Source & ModeOptions & { json?: boolean; all?: boolean; cluster?: boolean }

const LOOK_MS = 5_000

/** The command `slotkeeper sweep`. */
export function sweepCommand(): Command {
  return withCluster(withServer(new Command('sweep')))
    .summary('look at one server once; end idle sessions only with --reap')
    .description(
      'Looks at one server once. Shows which sessions hold the connection slots, and which of them the policy would end. Ends no session unless you give --reap.',
    )
    .option(
      '--policy <file>',
      'a policy file (JSON), or the name of the built-in policy, "incident": it ends each session that is idle for over 30 s, and every idle session when more than 5 are idle (default: incident)',
    )
    .option('--observe', 'only show which sessions the policy would end (default)')
    .option('--reap', 'end the sessions that the policy selects; needs --policy')
    .option('--all', 'print one line for each session (default: one line for each pool)')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      `
Examples:
  slotkeeper sweep --url postgres://slotkeeper:PASSWORD@HOST:5432/postgres
  slotkeeper sweep --policy policy.json --reap
  slotkeeper sweep --cluster --url postgres://slotkeeper:PASSWORD@CLUSTER-ENDPOINT:5432/postgres`,
    )
    .action(async (options: SweepOptions) => {
      process.exitCode = await runSweep(options)
    })
}

/** Runs one sweep and prints it. Returns the exit code, which is 1 if the server refused a reap. */
async function runSweep(options: SweepOptions): Promise<number> {
  const mode = readMode(options)
  const policy = readPolicy(options.policy ?? INCIDENT)
  const connection = readConnection(options, process.env)
  if (options.cluster) {
    const { policy: policyName, json = false, all = false } = options
    return runClusterSweep(connection, { mode, policy, policyName, json, all })
  }
  const { target, credentials, tls } = connection
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
