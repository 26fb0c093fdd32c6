import { Command } from 'commander'
import { rehearse } from './rehearse.ts'

/** The command `slotkeeper rehearse`. */
export function rehearseCommand(): Command {
  return new Command('rehearse')
    .summary('play an incident on a disposable PostgreSQL (45 s)')
    .description(
      'Starts a disposable PostgreSQL on this machine, fills it with leaked connections, and shows how Slotkeeper frees its slots. Takes about 45 s, touches no other server, and leaves nothing behind.',
    )
    .option('--verbose', 'print the stack trace of an error')
    .addHelpText(
      'after',
      `
Example:
  slotkeeper rehearse`,
    )
    .action(async () => {
      process.exitCode = await rehearse()
    })
}
