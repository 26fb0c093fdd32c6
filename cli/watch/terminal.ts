import { writeSync } from 'node:fs'
import { emitKeypressEvents } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { paint } from '../show.ts'
import type { Key } from './controls.ts'
import type { Output } from './output.ts'
import { type Line, type Screen, widthOf } from './text.ts'

// The sequences of xterm, which every terminal of the last decades knows or ignores: the alternate screen, the cursor,
// and wrapping. Without wrapping, a character that the terminal draws wider than it should can't break a line.
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J'
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'
// The terminal shows what is between the two at once. Others ignore them.
const BEGIN_FRAME = '\x1b[?2026h'
const END_FRAME = '\x1b[?2026l'
const CLEAR = '\x1b[2J'
const CLEAR_TO_END = '\x1b[K'

/** The time for a terminal to take what restores it, ms. */
const GOODBYE_MS = 500
/** The time in which a process that was asked to stop has stopped, if anything stops it at all, ms. */
const STOP_MS = 100
const DEFAULT_SIZE = { columns: 80, rows: 24 }

/** The terminal, while it shows nothing but this program. */
export type Terminal = {
  /** Draws again, as soon as the terminal has taken what was drawn before. In between nothing is queued. */
  update(): void
  /** Draws again, and repairs what other programs wrote. */
  repair(): void
  /** Gives the terminal back to the shell, stops as Ctrl-Z does, and takes the terminal again. */
  suspend(): Promise<void>
  /** Restores the terminal. */
  close(): Promise<void>
}

export type Wires = {
  output: Output
  /** What to show now. */
  render(screen: Screen): Line[]
  onKey(key: Key): void
  /** The terminal is gone. */
  onError(error: unknown): void
}

/** Takes over the terminal of standard output, and the keys of standard input if that is a terminal too. */
export function openTerminal({ output, render, onKey, onError }: Wires): Terminal {
  let shown: string[] = []
  /** What sets the screen up before all lines are drawn anew. */
  let setUp = ''
  let drawing: Promise<void> | undefined
  let isDirty = false
  let isOpen = false
  let isClosed = false

  const drawAll = async () => {
    while (isDirty && isOpen) {
      isDirty = false
      const screen = readScreen()
      const lines = render(screen)
      const painted = lines.map(painter(screen))
      const text = frame(shown, painted, setUp)
      shown = painted
      setUp = ''
      if (text !== '') await output.write(text)
    }
  }
  const update = () => {
    isDirty = true
    drawing ??= drawAll()
      .catch(onError)
      .finally(() => {
        drawing = undefined
      })
  }
  const repair = () => {
    shown = []
    setUp ||= CLEAR
    update()
  }
  const take = () => {
    if (isClosed) return
    isOpen = true
    readKeys(true)
    setUp = ENTER
    repair()
  }
  // Only once: a terminal that is restored already would put its cursor back to an earlier place.
  const giveUp = async () => {
    if (!isOpen) return
    isOpen = false
    process.stdin.pause()
    const restored = (drawing ?? Promise.resolve()).then(() => output.write(LEAVE))
    await Promise.race([restored.catch(() => undefined), pause(GOODBYE_MS)])
    // The mode changes once all output is taken. On a terminal that takes nothing, this would wait for ever.
    if (!output.isBusy()) readKeys(false)
  }
  // The last resort, for an error that nobody expected.
  const atExit = () => {
    if (!isOpen || output.isBusy()) return
    writeSync(process.stdout.fd, LEAVE)
  }
  const onHangUp = () => onError(new Error('the terminal is gone'))
  const keypress = (_: string | undefined, key: Key) => onKey(key)
  // Another program may have set the terminal while this one was stopped.
  const onContinue = () => {
    if (!isOpen || output.isBusy()) return
    readKeys(false)
    take()
  }

  if (process.stdin.isTTY) {
    emitKeypressEvents(process.stdin)
    process.stdin.on('keypress', keypress)
    process.stdin.on('error', onError)
    process.stdin.on('end', onHangUp)
  }
  process.stdout.on('resize', repair)
  process.on('SIGCONT', onContinue)
  process.on('exit', atExit)
  take()
  return {
    update,
    repair,
    async suspend() {
      await giveUp()
      // The whole group, as the terminal does it: `npx` waits for this process.
      process.kill(0, 'SIGTSTP')
      await pause(STOP_MS)
      take()
    },
    async close() {
      process.stdin.off('keypress', keypress)
      process.stdin.off('end', onHangUp)
      process.stdout.off('resize', repair)
      process.off('SIGCONT', onContinue)
      isClosed = true
      await giveUp()
      process.off('exit', atExit)
    },
  }
}

function readKeys(on: boolean): void {
  const { stdin } = process
  if (!stdin.isTTY) return
  stdin.setRawMode(on)
  if (on) stdin.resume()
  else stdin.pause()
}

/** A terminal that does not know its size says 0. */
function readScreen(): Screen {
  const { columns, rows } = process.stdout
  const { LC_ALL, LC_CTYPE, LANG } = process.env
  return {
    columns: columns || DEFAULT_SIZE.columns,
    rows: rows || DEFAULT_SIZE.rows,
    unicode: /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || ''),
  }
}

/** A line as it is sent. After a whole line the cursor stands on its last character, which must not be erased. */
function painter({ columns }: Screen): (line: Line) => string {
  return (line) => {
    const width = line.reduce((sum, { text }) => sum + widthOf(text), 0)
    const painted = line.map(({ text, style }) => (style ? paint(style, text) : text)).join('')
    return width < columns ? painted + CLEAR_TO_END : painted
  }
}

/** What turns the lines that are shown into others. */
function frame(shown: string[], lines: string[], setUp: string): string {
  const rows = Array.from({ length: Math.max(shown.length, lines.length) }, (_, row) => row)
  const changes = rows
    .filter((row) => shown[row] !== lines[row])
    .map((row) => `\x1b[${row + 1};1H${lines[row] ?? CLEAR_TO_END}`)
  const text = setUp + changes.join('')
  return text === '' ? '' : BEGIN_FRAME + text + END_FRAME
}
