import { Command } from 'commander'
import { withCluster } from '../cluster-option.ts'
import { withServer } from '../server-options.ts'
import type { DoctorOptions } from './doctor.ts'

/** The command `slotkeeper doctor`. */
export function doctorCommand(): Command {
  return withCluster(withServer(new Command('doctor')))
    .summary('say why the slots are taken, and what to do')
    .description(
      'Watches one server for a while. Says why the slots are taken, and what to do, with lines to paste. Changes nothing and ends no session.',
    )
    .option('--for <duration>', 'how long to watch, for example 30s or 10m', '10s')
    .option('--json', 'print the diagnosis as JSON')
    .addHelpText(
      'after',
      `
Exit codes: 0 nothing worse than a hint; 1 findings; 3 could not connect.
Ctrl-C ends the watch early, and prints what was seen until then.

Examples:
  slotkeeper doctor --url postgres://slotkeeper@HOST:5432/postgres
  slotkeeper doctor --for 10m    # surer about what comes back, and about slow leaks
  slotkeeper doctor --cluster --url postgres://slotkeeper@CLUSTER-ENDPOINT:5432/postgres`,
    )
    .action(async (options: DoctorOptions) => {
      const { runDoctor } = await import('./doctor.ts')
      process.exitCode = await runDoctor(options)
    })
}
