import { Command, Option } from 'commander'
import { SlotkeeperError } from '../../lambda/errors.ts'
import type { ReplayOptions } from './run.ts'

/** The command `slotkeeper replay`. */
export function replayCommand(): Command {
  return new Command('replay')
    .summary('show what a policy would have ended in a recording, and what was used again')
    .description(
      'Replays policies over a recording. Shows which sessions each policy would have ended, and which of these were used again later. Shows for each pool which idle time is safe. Needs no server.',
    )
    .argument(
      '[files...]',
      'recordings, also compressed by gzip, in any order; - is standard input',
    )
    .option('--log-group <name>', 'read what the function recorded in its CloudWatch log group')
    .option('--since <duration>', 'with --log-group: how far back (default: 7d)')
    .option('--target <name>', 'the only target to replay, if the recording has several')
    .option('--policy <file>', 'a policy file (JSON), or "incident"; repeatable', collect)
    .option(
      '--max-regret <n>',
      'exit 1 if a policy has more regretted sessions than this',
      readCount,
    )
    .option('--json', 'print the result as JSON')
    .option('--html <file>', 'write the result as a page with pictures, for a browser; - is stdout')
    .addOption(
      new Option(
        '--suggest',
        'print a policy that is made from the recording, and that has no regret on it',
      ).conflicts(['policy', 'maxRegret', 'json', 'html']),
    )
    .option('--verbose', 'print the stack trace of an error')
    .addHelpText(
      'after',
      `
Examples:
  slotkeeper replay monday.jsonl --policy policy.json
  slotkeeper replay --log-group /aws/lambda/NAME --since 7d --policy old.json --policy new.json
  slotkeeper replay monday.jsonl --policy old.json --policy new.json --html monday.html
  slotkeeper replay monday.jsonl --suggest > policy.json

Exit codes: 0 done; 1 more regrets than --max-regret allows; 2 a bad recording or policy;
3 the log group could not be read.`,
    )
    .action(async (files: string[], options: ReplayOptions) => {
      const { runReplay } = await import('./run.ts')
      process.exitCode = await runReplay(files, options)
    })
}

function collect(policy: string, policies: string[] = []): string[] {
  return [...policies, policy]
}

function readCount(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new SlotkeeperError(
    'settings',
    `--max-regret: found ${JSON.stringify(text)}; expected a whole number from 0`,
  )
}
