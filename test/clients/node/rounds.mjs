// What each program of this folder does: a few requests, a pause, and again, for ever. One line of JSON for each request.
import { setTimeout as pause } from 'node:timers/promises'

/** Whether the setting of docs/clients.md is on. */
export const helped = process.env.SETTING === 'on'

/** The text of an error as a log shows it. */
export function log(error) {
  process.stderr.write(`lost a connection: ${error.message}\n`)
}

/** Four requests at once, then two in sequence. The server has closed by then what it was told to close. */
export async function rounds(request) {
  for (let round = 1; ; round++) {
    await Promise.all([1, 2, 3, 4].map(() => report(round, request)))
    for (let number = 1; number <= 2; number++) await report(round, request)
    await pause(pauseMs())
  }
}

export function pauseMs() {
  return Number(process.env.PAUSE_MS ?? 1_000)
}

export async function report(round, request) {
  let result = { ok: true }
  try {
    await request()
  } catch (error) {
    result = { ok: false, error: `${error.name}: ${error.message}`, sqlstate: sqlstateOf(error) }
  }
  process.stdout.write(`${JSON.stringify({ round, ...result })}\n`)
}

function sqlstateOf({ code, cause, original, parent }) {
  if (/^[0-9A-Z]{5}$/.test(code ?? '')) return code
  const inner = cause ?? original ?? parent
  return inner ? sqlstateOf(inner) : null
}
