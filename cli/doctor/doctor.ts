import { safeJson } from '../../lambda/core/text.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import { createGate } from '../../lambda/postgres/gate.ts'
import { type Connection, readConnection, type Source } from '../connection.ts'
import { readDuration } from '../duration.ts'
import { EXIT_REFUSED } from '../exit-codes.ts'
import { writeOut } from '../show.ts'
import { examineCluster, reportOf, worstExit } from './cluster.ts'
import { hasFindings } from './diagnosis.ts'
import { examine } from './examine.ts'
import { UNPINNED } from './facts.ts'
import { explainNoWayIn, showNoWayIn } from './no-way-in.ts'
import { showDiagnosis } from './show.ts'
import { showInstances } from './show-instances.ts'

export type DoctorOptions = Source & { for: string; json?: boolean; cluster?: boolean }

/** Watches, concludes, prints. Returns the exit code, which is 1 if there is a finding worse than `info`. */
export async function runDoctor(options: DoctorOptions): Promise<number> {
  const forMs = readDuration('--for', options.for)
  const connection = readConnection(options, process.env)
  const ended = new AbortController()
  const stop = () => ended.abort()
  process.once('SIGINT', stop)
  try {
    const run = options.cluster ? runOnCluster : runOnServer
    return await run(connection, forMs, ended.signal, options.json ?? false)
  } finally {
    process.off('SIGINT', stop)
  }
}

/** @throws the failure. A person gets the SQL in lines to paste, and a program gets it in the error. */
function sayNoWayIn(failure: unknown, json: boolean): never {
  if (!(failure instanceof SlotkeeperError) || failure.kind !== 'exhausted') throw failure
  if (json) throw explainNoWayIn(failure)
  writeOut(showNoWayIn())
  throw failure
}

type Run = (
  connection: Connection,
  forMs: number,
  stop: AbortSignal,
  json: boolean,
) => Promise<number>

const runOnServer: Run = async ({ target, credentials, tls }, forMs, stop, json) => {
  const gate = createGate(credentials, tls, UNPINNED)
  const diagnosis = await examine(gate, target, forMs, stop)
    .catch((failure) => sayNoWayIn(failure, json))
    .finally(gate.close)
  writeOut(json ? safeJson(diagnosis) : showDiagnosis(diagnosis, process.stdout.columns))
  return hasFindings(diagnosis) ? EXIT_REFUSED : 0
}

const runOnCluster: Run = async (connection, forMs, stop, json) => {
  const { target } = connection
  const instances = await examineCluster(connection, forMs, stop)
  writeOut(
    json
      ? safeJson(reportOf(target, instances))
      : showInstances(target, instances, process.stdout.columns),
  )
  return worstExit(instances)
}
