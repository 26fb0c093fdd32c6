import { messageOf } from '../lambda/errors.ts'

/**
 * Handles output that can't be written, for example to a closed pipe or a full disk. It prints one line
 * on stderr and sets the exit code. The work in progress continues to its end.
 */
export function guardOutput(exitCode: number): void {
  process.stdout.once('error', (error) => {
    process.stderr.write(`slotkeeper: the output could not be written: ${messageOf(error)}\n`)
    process.once('exit', () => {
      process.exitCode = exitCode
    })
  })
  for (const stream of [process.stdout, process.stderr]) {
    // Later errors have the same cause. An error on stderr can't be reported anywhere.
    stream.on('error', () => undefined)
  }
}
