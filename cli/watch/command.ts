import { Command } from 'commander'
import { withCluster } from '../cluster-option.ts'
import { withServer } from '../server-options.ts'
import type { WatchOptions } from './options.ts'

/** The command `slotkeeper watch`. */
export function watchCommand(): Command {
  return withCluster(withServer(new Command('watch')))
    .summary('look at one server again and again; end idle sessions only with --reap')
    .description(
      'Shows live which sessions hold the connection slots, which session the policy would end next, and when. Full screen on a terminal; otherwise one line for each look, and one for each change. Ends no session unless you give --reap.',
    )
    .option('--every <duration>', 'the time between two looks, from 500ms to 24h', '2s')
    .option(
      '--policy <file>',
      'a policy file (JSON), or the name of the built-in policy, "incident" (default: incident)',
    )
    .option('--observe', 'only show which sessions the policy would end (default)')
    .option('--reap', 'end the sessions that the policy selects, at each look; needs --policy')
    .option('--json', 'print one report a line, as JSON; a look that fails is a line with "error"')
    .addHelpText(
      'after',
      `
Keys: q quit, p pause, s sort, up and down choose a pool, enter its sessions, h help;
with --cluster, tab chooses an instance.

Examples:
  slotkeeper watch --url postgres://slotkeeper:PASSWORD@HOST:5432/postgres
  slotkeeper watch --every 10s --policy policy.json | tee watch.log`,
    )
    .action(async (options: WatchOptions) => {
      const { watch } = await import('./watch.ts')
      await watch(options)
    })
}
