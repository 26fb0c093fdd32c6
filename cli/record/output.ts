import { type FileHandle, open, stat, unlink } from 'node:fs/promises'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'

/** Where the lines of a recording go. */
export type RecordingOutput = {
  /**
   * Writes whole lines. A file never ends in a part of them.
   * @returns their bytes
   * @throws Error if the file can't be written
   */
  write(lines: string[]): Promise<number>
  /** Whether the reader of standard output is gone; `guardOutput` says so. */
  isClosed(): boolean
  /** Closes the file. One that was made for it and has nothing in it is removed: it would be in the way later. */
  close(): Promise<void>
}

/**
 * @param out a file, or - for standard output
 * @throws SlotkeeperError of kind `settings` if the file can't be made, or has something in it
 */
export async function openOutput(out: string): Promise<RecordingOutput> {
  if (out === '-') return standardOutput()
  try {
    return fileOutput(out, await open(out, 'wx'), () => unlink(out))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unusable(out, error)
  }
  try {
    const found = await stat(out)
    if (found.isFile()) {
      throw new SlotkeeperError(
        'settings',
        `--out ${out}: the file exists, and is left as it is; expected the name of a new file. A replay takes several files.`,
      )
    }
    // For example a named pipe, as in --out >(gzip > FILE).
    return fileOutput(out, await open(out, 'w'), async () => undefined)
  } catch (error) {
    throw error instanceof SlotkeeperError ? error : unusable(out, error)
  }
}

function unusable(out: string, error: unknown): SlotkeeperError {
  return new SlotkeeperError('settings', `--out ${out}: can't be written: ${messageOf(error)}`)
}

function fileOutput(out: string, file: FileHandle, remove: () => Promise<void>): RecordingOutput {
  let whole = 0
  return {
    async write(lines) {
      const text = Buffer.from(`${lines.join('\n')}\n`)
      try {
        await file.writeFile(text)
      } catch (error) {
        // A pipe has no length, and nothing to cut.
        await file.truncate(whole).catch(() => undefined)
        throw new Error(
          `--out ${out}: the recording ends here, because it can't be written any more: ${messageOf(error)}. Its ${whole} bytes before that are whole.`,
          { cause: error },
        )
      }
      whole += text.length
      return text.length
    },
    isClosed: () => false,
    async close() {
      await file.close()
      if (whole === 0) await remove()
    },
  }
}

function standardOutput(): RecordingOutput {
  let closed = false
  return {
    write(lines) {
      const text = `${lines.join('\n')}\n`
      return new Promise((resolve) => {
        process.stdout.write(text, (error) => {
          closed ||= Boolean(error)
          resolve(Buffer.byteLength(text))
        })
      })
    },
    isClosed: () => closed,
    close: async () => undefined,
  }
}
