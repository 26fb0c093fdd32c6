import { Command } from 'commander'
import { withCluster } from '../cluster-option.ts'
import { withServer } from '../server-options.ts'
import type { RecordOptions } from './record.ts'

/** The command `slotkeeper record`. */
export function recordCommand(): Command {
  return withCluster(withServer(new Command('record')))
    .summary('record who holds the connection slots, to try policies on it')
    .description(
      'Looks at one server again and again, and writes what a policy would decide on to a file, without query texts. Try policies on the file with `slotkeeper replay`. Ends no session.',
    )
    .requiredOption('--out <file>', 'a new file to write; - for standard output')
    .option('--for <duration>', 'how long to record, for example 10m or 2d (default: until Ctrl-C)')
    .option('--every <duration>', 'the time between two looks, from 1s to 1h', '10s')
    .addHelpText(
      'after',
      `
Examples:
  slotkeeper record --for 1h --out monday.jsonl --url postgres://slotkeeper:PASSWORD@HOST:5432/postgres
  slotkeeper record --for 7d --every 1m --out - | gzip > week.jsonl.gz`,
    )
    .action(async (options: RecordOptions) => {
      const { record } = await import('./record.ts')
      process.exitCode = await record(options)
    })
}
