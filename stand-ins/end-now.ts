import type { ChildProcess } from 'node:child_process'
import { readSync } from 'node:fs'

const PATIENCE_MS = 30_000
const PAUSE_MS = 5

/**
 * Ends a process, and blocks until it and all that it started are gone. For the `exit` event, where
 * nothing can be awaited. What is still there after 30 s is left behind.
 * @param child with a pipe for its standard error, which its own children hold too
 */
export function endNow(child: ChildProcess, signal: NodeJS.Signals): void {
  child.kill(signal)
  // Missing from the types. It has no handle once it was read to its end, and on Windows no number.
  const { _handle: handle } = child.stderr as unknown as { _handle?: { fd?: number } | null }
  if (handle?.fd === undefined || handle.fd < 0) return
  // A process table would show a child that has ended until the event loop takes note of it. The
  // pipe comes to its end with the last process that could write to it.
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
