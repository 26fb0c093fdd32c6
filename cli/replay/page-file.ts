import { constants } from 'node:fs'
import { access, open, realpath, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import { PAGE_MARK } from './html.ts'

/** In so many bytes from the beginning of a page its mark is. */
const HEAD_BYTES = 1_024

/** Where a page goes, which was found to take it. */
export type PageFile = {
  /** @throws Error in words, if it can't be written after all. A file is then as it was. */
  write(page: string): Promise<void>
}

/**
 * Finds out where to write a page before the work for it begins. A page takes the place of an older page. Any
 * other file may be one that can't be made again, such as a recording, so it is left as it is.
 * @param out a file, a device or a pipe
 * @throws SlotkeeperError of kind `settings`
 */
export async function pageFile(out: string): Promise<PageFile> {
  try {
    const found = await stat(out).catch(ifMissing)
    if (found === undefined) {
      await access(dirname(out), constants.W_OK)
      return replaced(out, out)
    }
    if (found.isFile() && found.size > 0 && !(await isPage(out))) {
      throw new SlotkeeperError(
        'settings',
        `--html ${out}: the file exists and is no page of a replay, so it is left as it is; expected the name of a new file, or of an older page`,
      )
    }
    // A link stays a link.
    if (found.isFile()) return replaced(out, await realpath(out))
    if (found.isDirectory()) throw new Error('it is a directory; expected the name of a file')
    return { write: (page) => writeFile(out, page).catch((error) => fail(out, error)) }
  } catch (error) {
    if (error instanceof SlotkeeperError) throw error
    throw new SlotkeeperError('settings', `--html ${out}: can't be written: ${messageOf(error)}`)
  }
}

function ifMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}

async function isPage(file: string): Promise<boolean> {
  const handle = await open(file)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.toString('utf8', 0, bytesRead).includes(PAGE_MARK)
  } finally {
    await handle.close()
  }
}

/** The file has the old content or the whole new one, at any time and after any failure. */
function replaced(out: string, path: string): PageFile {
  return {
    async write(page) {
      const whole = `${path}.${process.pid}.tmp`
      try {
        await writeFile(whole, page, { flag: 'wx' })
        await rename(whole, path)
      } catch (error) {
        await unlink(whole).catch(() => undefined)
        fail(out, error)
      }
    },
  }
}

function fail(out: string, error: unknown): never {
  throw new Error(`--html ${out}: can't be written: ${messageOf(error)}`, { cause: error })
}
