import { write as writeFile } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

const writeSome = promisify(writeFile)
const FULL_PIPE_MS = 20

/**
 * Writes to standard output in such a way that a reader who does not read holds up nothing else. Node.js's own stream
 * writes to a terminal or a pipe in the main thread: on a link that hangs, no signal would be handled any more.
 */
export type Output = {
  /**
   * Resolves when all of the text has been taken.
   * @throws the error of the system, such as EPIPE
   */
  write(text: string): Promise<void>
  /** Whether a text is still being written. */
  isBusy(): boolean
}

export function createOutput(): Output {
  const { fd } = process.stdout
  let pending = 0
  return {
    async write(text) {
      pending += 1
      try {
        for (let rest = Buffer.from(text); rest.length > 0; ) {
          rest = rest.subarray(await writeOrWait(fd, rest))
        }
      } finally {
        pending -= 1
      }
    },
    isBusy: () => pending > 0,
  }
}

/** A pipe that does not block says EAGAIN as long as it is full. */
async function writeOrWait(fd: number, bytes: Buffer): Promise<number> {
  try {
    return (await writeSome(fd, bytes)).bytesWritten
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    await pause(FULL_PIPE_MS)
    return 0
  }
}
