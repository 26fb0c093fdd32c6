import { constants } from 'node:os'
import type { ReadCredentials } from '../../lambda/core/credentials.ts'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import { readConnection, type Source } from '../connection.ts'
import { EXIT_REFUSED } from '../exit-codes.ts'
import { age } from '../show.ts'
import { type Conductor, createConductor } from './conductor.ts'
import { type FullScreen, openFullScreen } from './full-screen.ts'
import { type Known, loop, type Sweepable, type Watched } from './loop.ts'
import { readSubject, type WatchOptions } from './options.ts'
import { createOutput, type Output } from './output.ts'
import type { Subject } from './picture.ts'
import { clusterScene, type Scene, serverScene } from './scenes.ts'
import { openInstances, openTarget } from './subjects.ts'

/**
 * Watches one server, or a cluster, until it is told to end. It ends the process itself: a sweep that was cut off, or a
 * terminal that takes nothing any more, must not keep it.
 * @throws SlotkeeperError if the first look fails, or if it ends while looks fail
 */
export async function watch(options: WatchOptions): Promise<void> {
  const given = readConnection(options, process.env)
  const subject = readSubject(options, given.target)
  const connection = { ...given, credentials: rereading(options, given.credentials) }
  const json = options.json ?? false
  if (options.cluster) await run(clusterScene, subject, openInstances(connection, subject), json)
  else await run(serverScene, subject, openTarget(connection, subject), json)
}

async function run<P extends Known, S>(
  scene: Scene<P, S>,
  subject: Subject,
  target: Sweepable<S>,
  json: boolean,
): Promise<void> {
  const output = createOutput()
  const conductor = createConductor()
  const startedMs = performance.now()
  const isOnTerminal = !json && process.stdout.isTTY && process.env.TERM !== 'dumb'
  const screen = isOnTerminal ? openScreen(scene, subject, target, output, conductor) : undefined
  const describe = (before: P, now: P) =>
    (json ? scene.json(now) : scene.lines(before, now)).map((line) => `${line}\n`).join('')

  let watched: Watched<P>
  try {
    watched = await loop(subject, scene, target, conductor, async (before, now) => {
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
  finish(watched, scene.isClean(watched.picture), conductor, output)
}

/** If the server refuses the login, reads again where the password came from: it may have been rotated. */
function rereading(source: Source, credentials: ReadCredentials): ReadCredentials {
  let read = credentials
  return async (fresh) => {
    if (fresh) read = readConnection(source, process.env).credentials
    return read(fresh)
  }
}

function openScreen<P extends Known, S>(
  scene: Scene<P, S>,
  subject: Subject,
  target: Sweepable<S>,
  output: Output,
  conductor: Conductor,
): FullScreen<P> {
  const screen = openFullScreen(scene.begin(subject), scene, output, {
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

/** What stays on the terminal. */
function summarize({ target, mode, totals }: Known, ms: number): string {
  const { looks, reaped, refused } = totals
  const done = mode === 'reap' ? `reaped ${reaped}` : `would have reaped ${reaped}`
  const denied = refused > 0 ? `; the server refused ${refused}` : ''
  return `Watched ${target} for ${age(ms / 1000)}: ${looks} looks, ${done} sessions${denied}.`
}

/** Ends the process, by the signal that asked for it or with the exit code. */
function finish<P extends Known>(
  { picture, isCutOff }: Watched<P>,
  isClean: boolean,
  conductor: Conductor,
  output: Output,
): void {
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
  process.exit(isClean ? 0 : EXIT_REFUSED)
}

function complain(text: string): void {
  process.stderr.write(`slotkeeper: ${text}\n`)
}

function dieBy(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
}
