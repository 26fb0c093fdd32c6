import { constants } from 'node:os'
import type { ReadCredentials } from '../../lambda/core/credentials.ts'
import { safeJson } from '../../lambda/core/text.ts'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import { createGate } from '../../lambda/postgres/gate.ts'
import { createTarget, type Target } from '../../lambda/target.ts'
import { readConnection, type Source } from '../connection.ts'
import { age } from '../show.ts'
import { type Conductor, createConductor } from './conductor.ts'
import { type FullScreen, openFullScreen } from './full-screen.ts'
import { describeLook } from './lines.ts'
import { loop, type Watched } from './loop.ts'
import { readSubject, type WatchOptions } from './options.ts'
import { createOutput, type Output } from './output.ts'
import { begin, type Picture, type Subject } from './picture.ts'

const EXIT_REFUSED = 1

/**
 * Watches one server until it is told to end. It ends the process itself: a sweep that was cut off, or a terminal that
 * takes nothing any more, must not keep it.
 * @throws SlotkeeperError if the first look fails, or if it ends while looks fail
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { target: name, credentials, tls } = readConnection(options, process.env)
  const subject = readSubject(options, name)
  const gate = createGate(rereading(options, credentials), tls)
  const target = createTarget(name, subject.policy, gate)
  const output = createOutput()
  const conductor = createConductor()
  const startedMs = performance.now()
  const isOnTerminal = !options.json && process.stdout.isTTY && process.env.TERM !== 'dumb'
  const screen = isOnTerminal ? openScreen(subject, target, output, conductor) : undefined
  const describe = options.json ? jsonOf : linesOf

  let watched: Watched
  try {
    watched = await loop(subject, target, conductor, async (before, now) => {
      if (screen) screen.show(now)
      else await output.write(describe(before, now)).catch(conductor.onLostOutput)
    })
  } finally {
    await target.close()
    await screen?.close()
  }
  if (screen && conductor.ending().lostOutput === undefined && !output.isBusy()) {
    const summary = summarize(watched.picture, performance.now() - startedMs)
    await output.write(`${summary}\n`).catch(conductor.onLostOutput)
  }
  finish(watched, conductor, output)
}

/** If the server refuses the login, reads again where the password came from: it may have been rotated. */
function rereading(source: Source, credentials: ReadCredentials): ReadCredentials {
  let read = credentials
  return async (fresh) => {
    if (fresh) read = readConnection(source, process.env).credentials
    return read(fresh)
  }
}

function openScreen(
  subject: Subject,
  target: Target,
  output: Output,
  conductor: Conductor,
): FullScreen {
  const screen = openFullScreen(begin(subject), output, {
    end: () => conductor.end({}),
    async pause(isPaused) {
      conductor.pause(isPaused)
      if (!isPaused) return
      await conductor.atRest()
      await target.close()
    },
    onError: conductor.onLostOutput,
  })
  conductor.stop.addEventListener('abort', screen.ending)
  return screen
}

function jsonOf(_: Picture, { lost, sight }: Picture): string {
  const { kind, message } = lost ?? {}
  return `${safeJson(lost ? { error: { kind, message } } : sight?.report)}\n`
}

function linesOf(before: Picture, now: Picture): string {
  return describeLook(before, now)
    .map((line) => `${line}\n`)
    .join('')
}

/** What stays on the terminal. */
function summarize({ target, mode, totals }: Picture, ms: number): string {
  const { looks, reaped, refused } = totals
  const done = mode === 'reap' ? `reaped ${reaped}` : `would have reaped ${reaped}`
  const denied = refused > 0 ? `; the server refused ${refused}` : ''
  return `Watched ${target} for ${age(ms / 1000)}: ${looks} looks, ${done} sessions${denied}.`
}

/** Ends the process, by the signal that asked for it or with the exit code. */
function finish({ picture, isCutOff }: Watched, conductor: Conductor, output: Output): void {
  const { signal, lostOutput } = conductor.ending()
  if (lostOutput !== undefined) {
    complain(`the output could not be written: ${messageOf(lostOutput)}`)
  }
  if (isCutOff && picture.mode === 'reap') {
    complain('a sweep was cut off. It may have ended sessions that were not shown.')
  }
  // What is still being written would hold up an ordinary exit for as long as nobody reads it.
  if (output.isBusy()) dieBy(signal ?? 'SIGKILL')
  if (signal) process.exit(128 + constants.signals[signal])
  if (lostOutput !== undefined) process.exit(EXIT_REFUSED)
  if (picture.lost) throw new SlotkeeperError(picture.lost.kind, picture.lost.message)
  process.exit(picture.totals.refused > 0 ? EXIT_REFUSED : 0)
}

function complain(text: string): void {
  process.stderr.write(`slotkeeper: ${text}\n`)
}

function dieBy(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
}
