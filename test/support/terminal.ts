import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'
import { freeze, signal } from './process.ts'
import { until } from './until.ts'

const run = promisify(execFile)

export const tmux = ['/usr/bin/tmux', '/usr/local/bin/tmux'].find(existsSync)
if (tmux === undefined) {
  process.stderr.write("tmux is not here (Debian's package tmux), so no terminal is tested\n")
}

/** A shell in a real terminal, of which the screen can be read. */
export type Terminal = {
  /** Types a line into the shell. */
  type(line: string): Promise<void>
  /** Presses keys, in tmux's names. */
  press(...keys: string[]): Promise<void>
  resize(columns: number, rows: number): Promise<void>
  screen(): Promise<string>
  /** Waits until the screen shows it, and returns the screen. A failure shows the screen as it is. */
  shows(what: RegExp): Promise<string>
  /** Whether a program has the whole screen, and whether the cursor is shown and lines wrap. */
  state(): Promise<{ isFullScreen: boolean; hasCursor: boolean; wraps: boolean }>
  /** Takes nothing any more, as a link that hangs, until the returned function is called. */
  hang(): Promise<() => void>
  /** Closes the window, as a person does. */
  close(): Promise<void>
}

/** Opens a terminal for the test that runs. */
export async function openTerminal(
  columns: number,
  rows: number,
  env: Record<string, string> = {},
): Promise<Terminal> {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-'))
  const call = async (...args: string[]) => {
    const all = ['-S', join(folder, 'socket'), '-f', '/dev/null', '-u', ...args]
    const { stdout } = await run(tmux as string, all, {
      env: { PATH: process.env.PATH, HOME: folder, LC_ALL: 'C.UTF-8', PS1: '$ ', ...env },
    })
    return stdout
  }
  await call('new-session', '-d', '-x', String(columns), '-y', String(rows), 'sh')
  onTestFinished(async () => {
    await call('kill-server').catch(() => undefined)
    rmSync(folder, { recursive: true, force: true })
  })
  const screen = () => call('capture-pane', '-p')
  // What is typed before the shell reads would stand between its own words.
  await until(async () => /[#$]/.test(await screen()))
  const ask = async (format: string) => (await call('display-message', '-p', format)).trim()
  return {
    screen,
    async type(line) {
      await call('send-keys', '-l', line)
      await call('send-keys', 'Enter')
    },
    press: async (...keys) => void (await call('send-keys', ...keys)),
    async resize(width, height) {
      await call('resize-window', '-x', String(width), '-y', String(height))
    },
    async shows(what) {
      let shown = ''
      const isThere = async () => {
        shown = await screen()
        return what.test(shown)
      }
      await until(isThere).catch(() => {
        throw new Error(`the screen does not show ${what}:\n${shown}`)
      })
      return shown
    },
    async state() {
      const [full, cursor, wrap] = (await ask('#{alternate_on} #{cursor_flag} #{wrap_flag}')).split(
        ' ',
      )
      return { isFullScreen: full === '1', hasCursor: cursor === '1', wraps: wrap === '1' }
    },
    async hang() {
      const server = Number(await ask('#{pid}'))
      await freeze(server)
      const goOn = () => signal(server, 'SIGCONT')
      onTestFinished(goOn)
      return goOn
    },
    close: async () => void (await call('kill-server')),
  }
}
