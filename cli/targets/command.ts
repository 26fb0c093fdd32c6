import { existsSync, writeFileSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { printable } from '../../lambda/core/text.ts'
import { messageOf, SlotkeeperError } from '../../lambda/errors.ts'
import { readText } from '../files.ts'
import { writeOut } from '../show.ts'
import { type FleetTarget, fleetOf, merge, type Tag, type Way, write } from './fleet.ts'
import type { Place } from './rds.ts'

type TargetsOptions = Place & { tag?: Tag[]; iamUser?: string; secret?: string; out?: string }

/** The command `slotkeeper targets`. */
export function targetsCommand(): Command {
  return new Command('targets')
    .summary('write the targets of a fleet, from RDS')
    .description(
      'Asks RDS for the PostgreSQL instances and the Aurora PostgreSQL clusters of a region, and writes them as the list of targets for targetsFile in cdk.json. New targets are in mode observe. A target that the file has already keeps its own keys, such as mode and policy.',
    )
    .option('--profile <name>', "the AWS command line's profile (default: AWS_PROFILE)")
    .option('--region <name>', "the region (default: the profile's, or AWS_REGION)")
    .option(
      '--tag <key=value...>',
      'only servers with all of these tags; KEY alone for any value',
      tags,
    )
    .option('--iam-user <name>', 'log in with IAM tokens as this role (default: slotkeeper)')
    .option(
      '--secret <name>',
      "log in with the secret of this name; {name} stands for the target's",
    )
    .option('--out <file>', 'the file to write or to bring up to date (default: standard output)')
    .option('--verbose', 'print the stack of an error')
    .addHelpText(
      'after',
      `
Example:
  slotkeeper targets --profile prod --tag team=shop --secret '{name}/slotkeeper' --out targets.json`,
    )
    .action(runTargets)
}

function tags(written: string, before: Tag[] = []): Tag[] {
  const [, key, value] = /^([^=]+)(?:=(.*))?$/s.exec(written) ?? []
  if (key === undefined) throw new InvalidArgumentError('expected KEY=VALUE, or KEY')
  return [...before, value === undefined ? { key } : { key, value }]
}

async function runTargets(options: TargetsOptions): Promise<void> {
  const way = wayOf(options)
  const { profile, region, out, tag = [] } = options
  // Read first: a file that is no list of targets is not overwritten.
  const before = out === undefined || !existsSync(out) ? [] : readTargets(out)
  const { readRds } = await import('./rds.ts')
  const rds = await readRds({ ...(profile && { profile }), ...(region && { region }) })
  const fleet = fleetOf(rds, tag, way)
  for (const note of fleet.notes) tell(`warning: ${note}`)
  if (fleet.targets.length === 0) {
    throw new SlotkeeperError(
      'settings',
      'RDS lists no such server: expected a PostgreSQL instance or an Aurora PostgreSQL cluster with these tags, in this region. Nothing was written.',
    )
  }
  if (out === undefined) return writeOut(write(fleet.targets).trimEnd())
  const { targets, added, changed, removed } = merge(before, fleet.targets)
  try {
    writeFileSync(out, write(targets))
  } catch (error) {
    throw new SlotkeeperError('settings', `--out: ${messageOf(error)}`)
  }
  tell(
    `${out}: ${targets.length} targets, ${added.length} added, ${changed.length} changed, ${removed.length} removed`,
  )
  for (const name of removed) {
    tell(
      `warning: ${name} is no target any more, but its stack sweeps on until you delete it: aws cloudformation delete-stack --stack-name Slotkeeper-${name}`,
    )
  }
}

function wayOf({ iamUser, secret }: TargetsOptions): Way {
  if (secret === undefined) return { iamUser: iamUser ?? 'slotkeeper' }
  if (iamUser === undefined) return { secret }
  throw new SlotkeeperError('settings', 'expected either --iam-user or --secret, found both')
}

function readTargets(file: string): FleetTarget[] {
  let found: unknown
  try {
    found = JSON.parse(readText('--out', file).replace(/^\uFEFF/, ''))
  } catch (error) {
    if (error instanceof SlotkeeperError) throw error
  }
  const isTarget = (value: unknown): value is FleetTarget =>
    typeof (value as FleetTarget | null)?.name === 'string'
  if (Array.isArray(found) && found.every(isTarget)) return found
  throw new SlotkeeperError(
    'settings',
    `--out ${file}: expected a list of targets, each with a name, or no such file; it was not changed`,
  )
}

function tell(line: string): void {
  process.stderr.write(`slotkeeper: ${printable(line)}\n`)
}
