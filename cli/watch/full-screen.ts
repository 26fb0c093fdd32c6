import { type Controls, type Key, START } from './controls.ts'
import { clockMs } from './loop.ts'
import type { Output } from './output.ts'
import { openTerminal } from './terminal.ts'
import type { Line, Screen } from './text.ts'

/** What keys ask of the watch itself. */
export type Requests = {
  end(): void
  /** Resolves when the connection is given back, if it pauses. */
  pause(isPaused: boolean): Promise<void>
  onError(error: unknown): void
}

/** What a picture looks like, and what a key changes in it. */
export type Face<P> = {
  view(picture: P, controls: Controls, screen: Screen, nowMs: number): Line[]
  press(controls: Controls, key: Key, picture: P): Controls
}

export type FullScreen<P> = {
  show(picture: P): void
  /** Says that the end waits for the sweep under way. */
  ending(): void
  close(): Promise<void>
}

/** Ages and times left go on between two looks. */
const TICK_MS = 1_000

/** Shows the watch on the whole terminal, from now until it is closed. */
export function openFullScreen<P>(
  first: P,
  { view, press }: Face<P>,
  output: Output,
  requests: Requests,
): FullScreen<P> {
  let picture = first
  let controls: Controls = START
  const change = (changed: Controls) => {
    if (changed.paused !== controls.paused) {
      requests.pause(changed.paused).catch(requests.onError)
    }
    controls = changed
    terminal.update()
  }
  const suspend = async () => {
    await requests.pause(true)
    await terminal.suspend()
    if (!controls.paused) await requests.pause(false)
  }
  const actions: Record<string, () => void> = {
    q: requests.end,
    'ctrl c': requests.end,
    'ctrl l': () => terminal.repair(),
    'ctrl z': () => {
      suspend().catch(requests.onError)
    },
  }
  const onKey = (key: Key) => {
    const action = actions[`${key.ctrl ? 'ctrl ' : ''}${key.name}`]
    if (action) action()
    else if (!key.ctrl) change(press(controls, key, picture))
  }
  const terminal = openTerminal({
    output,
    render: (screen) => view(picture, controls, screen, clockMs()),
    onKey,
    onError: requests.onError,
  })
  const ticking = setInterval(() => terminal.update(), TICK_MS)
  return {
    show(now) {
      picture = now
      terminal.update()
    },
    ending() {
      change({ ...controls, ending: true })
    },
    async close() {
      clearInterval(ticking)
      await terminal.close()
    },
  }
}
