import { printable } from '../../lambda/core/text.ts'

/** Tells on stderr how the recording goes. */
export type Progress = {
  /** A line that stays. */
  tell(text: string): void
  /** How far it is: on a terminal one line that is written anew, elsewhere a line a minute. */
  update(text: string): void
}

const PLAIN_MS = 60_000
const FALLBACK_COLUMNS = 80
const CLEAR_LINE = '\r\u001b[K'

/** @param out where the recording goes: lines on the same terminal would be mixed with a line that changes */
export function createProgress(out: string): Progress {
  const { stderr, stdout } = process
  const isLive = stderr.isTTY === true && !(out === '-' && stdout.isTTY === true)
  let toldMs = performance.now()
  let isShown = false
  const clear = () => {
    if (isShown) stderr.write(CLEAR_LINE)
    isShown = false
  }
  return {
    tell(text) {
      clear()
      stderr.write(`slotkeeper: ${printable(text)}\n`)
    },
    update(text) {
      if (isLive) {
        clear()
        const columns = stderr.columns || FALLBACK_COLUMNS
        stderr.write(printable(text).slice(0, columns - 1))
        isShown = true
      } else if (performance.now() - toldMs >= PLAIN_MS) {
        toldMs = performance.now()
        this.tell(text)
      }
    },
  }
}
