import { BUILT_IN, type Policy, type Rule } from '../../lambda/core/policy.ts'
import type { RuleState } from '../../lambda/core/session.ts'

/** A policy as a drill applies it, and how it differs from the policy as it is written. */
export type DrillPolicy = { policy: Policy; differences: string[] }

type Order = { idleSeconds: number; inTransaction: boolean }

const IN_TRANSACTION: RuleState[] = ['idle in transaction', 'idle in transaction (aborted)']

/**
 * Makes a policy meet its sessions in a drill, which lasts seconds and has one instance of the application
 * on a server of its own:
 * - An age above `idleSeconds` counts as `idleSeconds`.
 * - Each condition `when` counts as met, because on the real server other sessions may meet it.
 * - Each network in the scope and in the rules counts as matching, because COMMAND connects from this machine.
 * - Rules for `active` sessions are left out, because a drill ends sessions at rest.
 * - Rules for sessions that are idle in a transaction count only with `inTransaction`. If the policy has none
 *   then, it gets one for each such state.
 * The rest of its scope and its matches, its protections, `keep` and `budget` stay as they are.
 */
export function drillPolicy(policy: Policy, order: Order): DrillPolicy {
  const { idleSeconds, inTransaction } = order
  const states: RuleState[] = ['idle', ...(inTransaction ? IN_TRANSACTION : [])]
  const used = policy.rules.filter(({ state }) => states.includes(state))
  const hasOwn = used.some(({ state }) => IN_TRANSACTION.includes(state))
  const added = inTransaction && !hasOwn ? IN_TRANSACTION.map((state) => ruleFor(state, order)) : []
  const rules = used.map(({ when: _, ...rule }) => ({
    ...rule,
    olderThan: Math.min(rule.olderThan, idleSeconds),
    match: anywhere(rule.match ?? {}),
  }))
  const places = [policy.scope, ...used.map(({ match }) => match)]
  return {
    policy: { ...policy, scope: anywhere(policy.scope), rules: [...rules, ...added] },
    differences: [
      ...(places.some((match) => match?.clients !== undefined)
        ? ['each network under "clients" in its scope and rules counts as matching']
        : []),
      ...policy.rules.flatMap((rule) => differencesOf(rule, used.includes(rule), order)),
      ...(added.length > 0
        ? [`sessions that are idle in a transaction for ${idleSeconds} s are ended too`]
        : []),
    ],
  }
}

function anywhere({ clients: _, ...match }: Policy['scope']): Policy['scope'] {
  return match
}

/** Whether the policy selects sessions by the name of their application. */
export function namesApplications({ scope, protect = [], rules }: Policy): boolean {
  const matches = [scope, ...protect, ...rules.map(({ match }) => match)]
  return matches.some((match) => match?.applications !== undefined)
}

function ruleFor(state: RuleState, { idleSeconds }: Order): Rule {
  return { name: `${BUILT_IN}${state}`, state, olderThan: idleSeconds, action: 'terminate' }
}

function differencesOf(rule: Rule, isUsed: boolean, { idleSeconds }: Order): string[] {
  const { name, state, olderThan, when } = rule
  if (!isUsed) {
    return state === 'active'
      ? [`rule "${name}" is left out: a drill ends no active session`]
      : [`rule "${name}" is left out: it needs --in-transaction`]
  }
  return [
    ...(olderThan > idleSeconds
      ? [
          `rule "${name}" ends a session after ${idleSeconds} s instead of ${olderThan} s (--idle ${olderThan}s waits as long)`,
        ]
      : []),
    ...(when === undefined ? [] : [`the condition of rule "${name}" counts as met`]),
  ]
}
