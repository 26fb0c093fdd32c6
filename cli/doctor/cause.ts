import { findBlockers } from './blockers.ts'
import { type Case, type Fleet, isLarge } from './case.ts'
import { findChurn } from './findings/churn.ts'
import { ago, atWork, nameOf, plural, probably, sessionName } from './words.ts'

/**
 * Why the slots are taken, in one sentence: the largest fleet, and what its sessions do. The title of `full` and
 * `nearly-full` ends with it.
 */
export function causeOf(now: Case): string {
  const [largest] = now.fleets
  if (largest === undefined || !isLarge(largest.usage.peakSessions, now.usable)) {
    return `no application holds a tenth of them: ${plural(now.fleets.length, 'application')}, ${plural(now.total.members.length, 'session')}`
  }
  const { members, peakSessions } = largest.usage
  const count = members.length
  return `${nameOf(largest)}${probably(largest)} holds ${count < peakSessions ? `up to ${peakSessions}` : count} of ${now.usable}: ${workOf(now, largest)}`
}

/** What the sessions of a fleet mostly do. */
function workOf(now: Case, fleet: Fleet): string {
  const { members, busy, peakWaiting, idleInTransaction, idleOverMinute, oldestIdleSeconds } =
    fleet.usage
  const most = members.length / 2
  if (peakWaiting > most) return `${peakWaiting} wait for a lock${holderOf(now)}`
  if (idleInTransaction > most) return `${idleInTransaction} are idle in a transaction`
  const churn = findChurn(now).find((one) => one.fleet === fleet)
  if (churn) return `each one that ends is replaced at once (${churn.how})`
  if (idleOverMinute > most) {
    const unused = fleet.usage.neverUsedOverMinute
    const never = unused > 0 ? `, ${unused} never used` : ''
    return `${idleOverMinute} idle for over a minute (up to ${ago(oldestIdleSeconds)})${never}, ${atWork(fleet.usage.peakBusy)}`
  }
  if (busy > most) return `${busy} are at work`
  return `${atWork(fleet.usage.peakBusy)}, few are idle for over a minute`
}

/** Who holds the lock that most sessions wait for. Empty if they have not waited for long. */
function holderOf({ last }: Case): string {
  const [blocker] = findBlockers(last)
  if (blocker === undefined) return ''
  const { state, ageSeconds } = blocker.session
  return ` that ${sessionName(blocker.session)} holds, ${state} for ${ago(ageSeconds)}`
}
