import { setTimeout as sleep } from 'node:timers/promises'
import type { Control } from './loop.ts'

/** Why the watch ends. Neither a signal nor a lost output: a key. */
export type Ending = {
  signal?: NodeJS.Signals
  /** Why nothing can be shown any more. */
  lostOutput?: unknown
}

export type Conductor = Control & {
  /** The first call ends the watch, a second one at once. */
  end(ending: Ending): void
  onLostOutput(error: unknown): void
  pause(isPaused: boolean): void
  /** Resolves when the sweep under way is over, or after a second. */
  atRest(): Promise<void>
  ending(): Ending
}

const REST_MS = 1_000
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Steers the loop: by signals, by keys, and by an output that is gone. */
export function createConductor(): Conductor {
  const stop = new AbortController()
  const hurry = new AbortController()
  let ending: Ending = {}
  let goOn: (() => void) | undefined
  let pausing: Promise<void> | undefined
  let underWay: Promise<unknown> = Promise.resolve()

  const pause = (isPaused: boolean) => {
    goOn?.()
    pausing =
      isPaused && !stop.signal.aborted
        ? new Promise((resolve) => {
            goOn = resolve
          })
        : undefined
  }
  const end = (why: Ending) => {
    if (stop.signal.aborted) return hurry.abort()
    ending = why
    stop.abort()
    pause(false)
  }
  for (const signal of SIGNALS) process.on(signal, () => end({ signal }))
  return {
    stop: stop.signal,
    hurry: hurry.signal,
    isPaused: () => pausing !== undefined,
    async goesOn() {
      while (pausing) await pausing
    },
    track(sweep) {
      underWay = sweep.catch(() => undefined)
      return sweep
    },
    async atRest() {
      await Promise.race([underWay, sleep(REST_MS)])
    },
    end,
    onLostOutput: (lostOutput) => end({ lostOutput }),
    pause,
    ending: () => ending,
  }
}
