import type { Command } from 'commander'

/** The options of every command that connects to a server. */
export function withServer(command: Command): Command {
  return command
    .option('--url <url>', 'the server (default: DATABASE_URL, or the PG* variables of libpq)')
    .option(
      '--secret-arn <arn>',
      'a Secrets Manager secret with the host, the role and its password; instead of --url',
    )
    .option('--verbose', 'print the stack trace of an error')
}
