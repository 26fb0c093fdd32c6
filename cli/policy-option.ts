import { hint } from '../lambda/core/nearest.ts'
import { INCIDENT, type Policy, parsePolicy } from '../lambda/core/policy.ts'
import { SlotkeeperError } from '../lambda/errors.ts'
import { readPolicyFile } from '../lambda/policy-file.ts'

/**
 * Reads the policy of `--policy`.
 * @param named the name of a policy, or a file with one
 * @throws SlotkeeperError of kind `settings` that lists every problem
 */
export function readPolicy(named: string): Policy {
  const policy = named === INCIDENT ? parsePolicy(named) : readPolicyFile(named)
  if (policy.ok) return policy.value
  throw new SlotkeeperError(
    'settings',
    `--policy ${named}: expected a file with a policy, or "${INCIDENT}"${hint(named, [INCIDENT])}: ${policy.problems.join('; ')}`,
  )
}
