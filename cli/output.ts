import { messageOf } from '../lambda/errors.ts'

/**
 * Tells in one line where the output could not be written, as into a closed pipe or onto a full disk,
 * and has the process end with an exit code. What is under way comes to its end.
 */
export function guardOutput(exitCode: number): void {
  process.stdout.once('error', (error) => {
    process.stderr.write(`slotkeeper: the output could not be written: ${messageOf(error)}\n`)
    process.once('exit', () => {
      process.exitCode = exitCode
    })
  })
  for (const stream of [process.stdout, process.stderr]) {
    // What comes after the first one is of the same cause, and of an error on stderr nobody is left to hear.
    stream.on('error', () => undefined)
  }
}
