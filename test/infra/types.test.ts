import { expect, expectTypeOf, test } from 'vitest'
import type { MetricName, MetricSet, PolicyInput, ReaperMode } from '../../infra/index.ts'
import type {
  MetricName as NameOfFunction,
  MetricSet as SetOfFunction,
} from '../../lambda/core/measurements.ts'
import { type WrittenPolicy as InputOfFunction, parsePolicy } from '../../lambda/core/policy.ts'
import type { Mode } from '../../lambda/core/report.ts'

/** Without what the declarations say more exactly: the form of a duration, and what may not change. */
type Plain<T> = T extends `${number}${string}`
  ? string
  : T extends (infer Item)[]
    ? Plain<Item>[]
    : T extends object
      ? { -readonly [Key in keyof T]: Plain<T[Key]> }
      : T

// What an app compiles against imports nothing of the function; the compiler holds them equal here.
test('the declarations of the construct match those of the function', () => {
  const all: Required<PolicyInput> = {
    scope: { databases: ['shop'], users: ['shop_*'], clients: ['10.0.9.0/24', 'local'] },
    protect: [{ applications: ['pg_dump'] }],
    rules: [
      {
        name: 'full',
        state: 'idle',
        olderThan: '1.5h',
        when: { idleOver: 1, slotsUsedOver: '9.5%' },
      },
      { name: 'slow', state: 'active', olderThan: '500ms', match: {}, action: 'cancel' },
    ],
    keep: 2,
    budget: 200,
    $schema: './node_modules/slotkeeper/dist/policy.schema.json',
    $comment: 'why it is so',
  }
  expect(parsePolicy(all)).toMatchObject({ ok: true })
  expectTypeOf<Plain<PolicyInput>>().toEqualTypeOf<InputOfFunction>()
  expectTypeOf<MetricSet>().toEqualTypeOf<SetOfFunction>()
  expectTypeOf<MetricName>().toEqualTypeOf<NameOfFunction>()
  expectTypeOf<ReaperMode>().toEqualTypeOf<Mode>()
})
