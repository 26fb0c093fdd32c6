import type { ChildProcess } from 'node:child_process'
import { readSync } from 'node:fs'

const PATIENCE_MS = 30_000
const PAUSE_MS = 5

/**
 * Ends a process, and blocks until it and all its children are gone. It is for the `exit` event, where
 * nothing can be awaited. It gives up after 30 s.
 * @param child has a pipe as its standard error, which its own children inherit
 */
export function endNow(child: ChildProcess, signal: NodeJS.Signals): void {
  child.kill(signal)
  // The types lack `_handle`. A stream that was read to its end has no handle, and on Windows it has no `fd`.
  const { _handle: handle } = child.stderr as unknown as { _handle?: { fd?: number } | null }
  if (handle?.fd === undefined || handle.fd < 0) return
  // A process table still shows an ended child until the event loop runs. The pipe, in contrast, ends
  // with the last process that could write to it.
  const deadline = performance.now() + PATIENCE_MS
  while (!isAtEnd(handle.fd) && performance.now() < deadline) sleep(PAUSE_MS)
}

function isAtEnd(fd: number): boolean {
  const scrap = Buffer.alloc(65_536)
  try {
    while (readSync(fd, scrap) > 0);
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EAGAIN'
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
