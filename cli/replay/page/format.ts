import type { Pool } from '../../../lambda/core/pool.ts'
import { printable } from '../../../lambda/core/text.ts'

/** No name of PostgreSQL is longer than 63 bytes, each of which may take 6 characters when it is escaped. */
const LONGEST_TEXT = 400

/** Text from a server as a person can read it: what would hide or reorder its neighbours is escaped. */
export function visible(text: string): string {
  const whole = printable(text)
  return whole.length <= LONGEST_TEXT
    ? whole
    : `${whole.slice(0, LONGEST_TEXT)}… (${number(whole.length)} characters)`
}

export const number = (value: number) => value.toLocaleString('en-US')

/** A count and its noun: `1 session`, `2 sessions`. */
export const counted = (count: number, what: string) =>
  `${number(count)} ${what}${count === 1 ? '' : 's'}`

const UNITS: [string, number][] = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
]

/** A duration as it is, to the millisecond: `1h 30m`, `12.4s`. */
export function duration(seconds: number): string {
  let rest = Math.round(seconds * 1000) / 1000
  const parts: string[] = []
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size)
    if (count > 0) parts.push(`${count}${unit}`)
    rest -= count * size
  }
  const left = Math.round(rest * 1000) / 1000
  if (left > 0 || parts.length === 0) parts.push(`${left}s`)
  return parts.join(' ')
}

/** An instant (ISO 8601, UTC) to the second: `2026-01-01 00:10:00`. */
export const second = (iso: string) => iso.slice(0, 19).replace('T', ' ')

export const hourName = (hour: number) => `${String(hour).padStart(2, '0')}h`

/** What a pool is called in tables: its role and database, its application, and its client's address. */
export function poolNames({ user, database, application, client }: Pool): [string, string, string] {
  return [
    visible(`${user ?? '-'}@${database ?? '-'}`),
    visible(application || '-'),
    visible(client || '-'),
  ]
}

export const poolName = (pool: Pool) => poolNames(pool).join(' · ')

/** What stands for the policy at `index` in pictures and in the heads of columns: A, B, and so on. */
export function letter(index: number): string {
  const round = Math.floor(index / 26)
  return `${String.fromCharCode(65 + (index % 26))}${round > 0 ? round : ''}`
}

/** The server's version as PostgreSQL says it: `18.4`. */
export const versionName = (version: number) =>
  `${Math.floor(version / 10_000)}.${version % 10_000}`
