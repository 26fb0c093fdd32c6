import { printable } from '../../lambda/core/text.ts'
import { SlotkeeperError } from '../../lambda/errors.ts'
import type { Gate } from '../../lambda/postgres/gate.ts'
import { asFailure } from '../looks.ts'
import { diagnoseBlindly } from './blind.ts'
import { diagnose } from './diagnose.ts'
import type { Diagnosis } from './diagnosis.ts'
import { observe } from './observe.ts'

/**
 * Watches one server, and concludes. Says on stderr why single looks failed.
 * @param prefix what tells its lines on stderr from those of other servers
 * @throws SlotkeeperError if no look succeeded, and nothing can be said without one
 */
export async function examine(
  gate: Gate,
  target: string,
  forMs: number,
  stop: AbortSignal,
  prefix = '',
): Promise<Diagnosis> {
  const observed = await observe(gate, target, forMs, stop).catch(asFailure)
  if (observed instanceof SlotkeeperError) return await sayWhatCanBeSaid(gate, target, observed)
  for (const message of new Set(observed.failures.map((failure) => failure.message))) {
    process.stderr.write(`slotkeeper: ${printable(`${prefix}a look failed: ${message}`)}\n`)
  }
  return diagnose(observed)
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
