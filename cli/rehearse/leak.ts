// The application of the rehearsal: opens connections, uses each once, and forgets to give it back.
// Arguments: a connection URL and an application name. Each line on its input says how many more
// sessions to open; each line on its output says what became of one.
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const [, , connectionString, application_name] = process.argv
const PAUSE_MS = 30
const RETRY_MS = 200

const say = (word: string, detail = '') =>
  process.stdout.write(`${JSON.stringify([word, detail])}\n`)

/** Forgotten by the application, and ended by the server sooner or later. */
async function leakOne(): Promise<boolean> {
  const client = new pg.Client({ connectionString, application_name })
  client.on('error', () => say('ended'))
  try {
    await client.connect()
    await client.query('select count(*) from pg_class')
    say('connected')
    return true
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string }
    say('refused', `${code} ${message}`)
    return false
  }
}

let wanted = 0
const input = createInterface({ input: process.stdin })
input.on('line', (line) => {
  wanted = Number(line)
})
input.on('close', () => process.exit())
// Where the rehearsal was interrupted there is nobody left to tell.
process.stdout.on('error', () => process.exit())
for (;;) {
  if (wanted === 0) {
    await pause(PAUSE_MS)
  } else if (await leakOne()) {
    wanted = Math.max(0, wanted - 1)
    await pause(PAUSE_MS)
  } else {
    await pause(RETRY_MS)
  }
}
