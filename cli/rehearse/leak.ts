// The application of the rehearsal. It opens connections, uses each once, and never closes it.
// Arguments: a connection URL and an application name. Each line on stdin says how many more sessions to
// open. Each line on stdout says what happened to one.
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const [, , connectionString, application_name] = process.argv
const PAUSE_MS = 30
const RETRY_MS = 200

const say = (word: string, detail = '') =>
  process.stdout.write(`${JSON.stringify([word, detail])}\n`)

/** Opens a session that the application never closes. Sooner or later the server ends it. */
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
// If the rehearsal was interrupted, nothing reads the output any more.
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
