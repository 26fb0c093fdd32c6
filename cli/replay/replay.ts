import { type Memory, recall, remember } from '../../lambda/core/memory.ts'
import type { Frame } from '../../lambda/core/recording.ts'
import type { Snapshot } from '../../lambda/core/session.ts'
import { countSlots } from '../../lambda/core/slots.ts'
import { caveats } from './caveats.ts'
import { createDifference } from './difference.ts'
import { drawHistograms } from './histograms.ts'
import type { Closed } from './history.ts'
import { createIntervals } from './intervals.ts'
import { createOccupancy } from './occupancy.ts'
import { concludePool, createPools } from './pools.ts'
import type { Replay } from './result.ts'
import { instant } from './rounding.ts'
import { createSeries } from './series.ts'
import { createSimulation, type NamedPolicy } from './simulation.ts'
import { createStretches } from './stretches.ts'

/** Takes the frames of one recording in the order of their time. */
export type Replayer = {
  add(frame: Frame): void
  /** @throws Error if there was no frame */
  end(): Replay
}

/**
 * Creates a replay of policies over one recording. It depends on its input alone, and keeps only what it needs: the
 * sessions of the last snapshot, a history of each pool, and the lists of its result.
 */
export function createReplayer(policies: NamedPolicy[]): Replayer {
  const pools = createPools()
  const stretches = createStretches(pools)
  const simulations = policies.map(createSimulation)
  const difference = policies.length === 2 ? createDifference() : undefined
  const occupancy = createOccupancy()
  const series = createSeries()
  const intervals = createIntervals()
  let memory: Memory | undefined
  let first: Frame | undefined
  let last: Frame | undefined
  let snapshots = 0
  let gaps = 0
  let reapedWhileRecording = 0
  let withoutHolders = 0

  const decide = (closed: Closed) => {
    pools.close(closed)
    for (const simulation of simulations) simulation.close(closed)
    difference?.close(closed)
    if (closed.fate !== 'used') return
    for (const [index, reap] of closed.stretch.reaps.entries()) {
      if (reap) series.regret(index, reap.atMs)
    }
  }

  return {
    add(frame) {
      const snapshot = recall(memory, frame.snapshot)
      memory = remember(snapshot)
      const { atMs } = snapshot
      if (last) intervals.add({ fromMs: last.snapshot.atMs, toMs: atMs })
      first ??= frame
      last = frame
      snapshots += 1
      reapedWhileRecording += frame.reaped.size
      if (lacksHolders(snapshot)) withoutHolders += 1

      pools.begin(snapshot)
      const current = stretches.follow({ ...frame, snapshot }, (closed) => {
        if (closed.stretch.session.state === 'idle') gaps += 1
        decide(closed)
      })
      pools.finish(current)

      const slots = countSlots(snapshot)
      occupancy.add(atMs, slots)
      const swept = simulations.map((simulation) => simulation.sweep(snapshot, current))
      const [one, other] = swept
      if (difference && one && other) difference.note(one, other, atMs)
      series.add({
        atMs,
        usable: slots.max - slots.reserved,
        used: slots.used,
        policies: swept.map(({ used, reaps }) => ({ used, reaps, regrets: 0 })),
      })
    },

    end() {
      if (!first || !last) throw new Error('a recording has at least one snapshot')
      // A gap that the end of the recording cuts off is none that ended.
      stretches.end(decide)
      const cadence = intervals.end()
      const { target, snapshot } = first
      const seconds = (last.snapshot.atMs - snapshot.atMs) / 1000
      const facts = {
        policies: policies.length,
        snapshots,
        seconds,
        cadence,
        reapedWhileRecording,
        withoutHolders,
      }
      const concluded = pools
        .all()
        .map((history) => ({ history, pool: concludePool(history, cadence, snapshots) }))
        .sort((a, b) => b.pool.peakSessions - a.pool.peakSessions)
      return {
        report: {
          target,
          server: { version: snapshot.serverVersion },
          from: instant(snapshot.atMs),
          to: instant(last.snapshot.atMs),
          snapshots,
          everySeconds: Number(cadence.usual.toPrecision(3)),
          gaps,
          policies: simulations.map((simulation) => simulation.result(occupancy.result())),
          ...(difference && { difference: difference.result() }),
          pools: concluded.map(({ pool }) => pool),
          caveats: caveats(facts),
        },
        pictures: {
          series: series.result(),
          histograms: drawHistograms(
            concluded.map(({ history }) => history),
            policies,
            last.snapshot.serverVersion,
          ),
        },
      }
    },
  }
}

/** Whether the snapshot leaves open which of its sessions hold advisory locks and replication slots. */
function lacksHolders({ sessions, ownPid }: Snapshot): boolean {
  return sessions.some(({ pid, advisoryLock }) => pid !== ownPid && advisoryLock === null)
}
