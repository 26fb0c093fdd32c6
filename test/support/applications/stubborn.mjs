// Uses its session once, and then is in the way of whoever wants to end it. Arguments:
//   deaf      ignores SIGTERM, as do its children
//   children  starts a child in its process group, one that leaves it with a session of its own, and one without its
//             environment too
//   flood     writes without end
//   mute      closes its output
//   hang      never lets another event happen
import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import pg from 'pg'

const ways = process.argv.slice(2)
const is = (way) => ways.includes(way)

if (is('deaf')) {
  process.on('SIGTERM', () => {
    // Whoever looks at the process can see that the signal has come.
    process.title = 'was asked to end'
  })
}
if (is('children')) {
  const deaf = is('deaf') ? "trap '' TERM; " : ''
  const command = ['-c', `${deaf}while :; do sleep 1; done`]
  for (const options of [{}, { detached: true }, { detached: true, env: {}, cwd: tmpdir() }]) {
    spawn('/bin/sh', command, { stdio: 'inherit', ...options }).unref()
  }
}
const client = new pg.Client()
client.on('error', () => undefined)
await client.connect()
await client.query('select 1')
process.stdout.write('ready\n')
if (is('mute')) for (const stream of [1, 2]) closeSync(stream)
if (is('flood')) setInterval(() => process.stdout.write(`${'x'.repeat(200)}\n`.repeat(5_000)), 0)
if (is('hang')) for (;;);
setInterval(() => undefined, 60_000)
