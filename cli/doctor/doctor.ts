import { printable, safeJson } from '../../lambda/core/text.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { createGate, type Gate } from '../../lambda/postgres/gate.ts'
import { readConnection, type Source } from '../connection.ts'
import { readDuration } from '../duration.ts'
import { writeOut } from '../show.ts'
import { diagnoseBlindly } from './blind.ts'
import { diagnose } from './diagnose.ts'
import type { Diagnosis } from './diagnosis.ts'
import { UNPINNED } from './facts.ts'
import { explainNoWayIn, showNoWayIn } from './no-way-in.ts'
import { observe } from './observe.ts'
import { showDiagnosis } from './show.ts'

export type DoctorOptions = Source & { for: string; json?: boolean }

const EXIT_FINDINGS = 1

/** Watches, concludes, prints. Returns the exit code, which is 1 if there is a finding worse than `info`. */
export async function runDoctor(options: DoctorOptions): Promise<number> {
  const forMs = readDuration('--for', options.for)
  const diagnosis = await examine(options, forMs).catch((failure) => sayNoWayIn(failure, options))
  writeOut(options.json ? safeJson(diagnosis) : showDiagnosis(diagnosis, process.stdout.columns))
  return diagnosis.findings.some(({ severity }) => severity !== 'info') ? EXIT_FINDINGS : 0
}

async function examine(options: DoctorOptions, forMs: number): Promise<Diagnosis> {
  const { target, credentials, tls } = readConnection(options, process.env)
  const gate = createGate(credentials, tls, UNPINNED)
  const ended = new AbortController()
  const stop = () => ended.abort()
  process.once('SIGINT', stop)
  try {
    const observed = await observe(gate, target, forMs, ended.signal).catch(asFailure)
    if (observed instanceof SlotkeeperError) return await sayWhatCanBeSaid(gate, target, observed)
    for (const message of new Set(observed.failures.map((failure) => failure.message))) {
      process.stderr.write(`slotkeeper: a look failed: ${printable(message)}\n`)
    }
    return diagnose(observed)
  } finally {
    process.off('SIGINT', stop)
    await gate.close()
  }
}

/** @throws the failure. A person gets the SQL in lines to paste, and a program gets it in the error. */
function sayNoWayIn(failure: unknown, { json }: DoctorOptions): never {
  if (!(failure instanceof SlotkeeperError) || failure.kind !== 'exhausted') throw failure
  if (json) throw explainNoWayIn(failure)
  writeOut(showNoWayIn())
  throw failure
}

function asFailure(error: unknown): SlotkeeperError {
  if (error instanceof SlotkeeperError) return error
  throw error
}

async function sayWhatCanBeSaid(
  gate: Gate,
  target: string,
  failure: SlotkeeperError,
): Promise<Diagnosis> {
  if (failure.kind === 'blind' || failure.kind === 'rights') {
    return diagnoseBlindly(gate, target, failure)
  }
  throw failure
}
