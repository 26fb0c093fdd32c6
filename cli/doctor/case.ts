import { type Pool, poolFields, poolOf } from '../../lambda/core/pool.ts'
import { guard } from '../../lambda/core/protection.ts'
import { type Session, withHolders } from '../../lambda/core/session.ts'
import { countSlots, type Slots } from '../../lambda/core/slots.ts'
import { greatest } from '../causes.ts'
import type { FindingPool } from './diagnosis.ts'
import type { RoleFacts } from './facts.ts'
import type { Look, Observed } from './observe.ts'
import { type Recognised, recognise } from './recognise.ts'
import { measureUsage, type Usage } from './usage.ts'

/**
 * The sessions that one application holds: those of one role in one database with one application name, whatever
 * host they come from. Applications that are small by themselves count together: many programs put a process id
 * into the name.
 */
export type Fleet = {
  pool: FindingPool
  /** One pool of the fleet, for what a single name is needed. */
  example: Pool
  clients: number
  applications: number
  usage: Usage
  recognised: Recognised
  /** Sessions that would lose something with their end: a lock, a slot, notifications, a backup. */
  guarded: number
}

/** Everything that the findings and the plan are concluded from. */
export type Case = {
  observed: Observed
  last: Look
  slots: Slots
  /** Slots that ordinary roles can take. */
  usable: number
  watchedSeconds: number
  /** Most sessions first. */
  fleets: Fleet[]
  /** The fleets with a tenth or more of the usable slots, most of them idle for over a minute. */
  hoards: Fleet[]
  /** All sessions but the doctor's own. */
  total: Usage
  /** The sessions of each role. */
  byRole: Map<string | null, Usage>
}

export function openCase(observed: Observed): Case {
  const { looks } = observed
  const [first] = looks
  const last = looks.at(-1) ?? first
  const slots = countSlots(last.snapshot)
  const usable = slots.max - slots.reserved
  const fleets = findFleets(observed, last, usable)
  return {
    observed,
    last,
    slots,
    usable,
    watchedSeconds: (last.snapshot.atMs - first.snapshot.atMs) / 1000,
    fleets,
    hoards: fleets.filter((fleet) => isHoard(fleet, usable)),
    total: measureUsage(looks, () => '').get('') ?? NO_USAGE,
    byRole: new Map(
      [...measureUsage(looks, ({ user }) => JSON.stringify(user))].map(([key, usage]) => [
        JSON.parse(key) as string | null,
        usage,
      ]),
    ),
  }
}

const NO_USAGE: Usage = {
  members: [],
  sample: [],
  peakSessions: 0,
  busy: 0,
  peakBusy: 0,
  peakWaiting: 0,
  idleInTransaction: 0,
  idleOverMinute: 0,
  oldestIdleSeconds: null,
  medianIdleSeconds: null,
  neverUsed: 0,
  neverUsedOverMinute: 0,
  opened: 0,
  ended: 0,
  longestComebackSeconds: null,
  meanPauseSeconds: null,
  oldestSessionSeconds: 0,
  forms: new Map(),
}

/** A tenth of the slots in one hand is worth a word. */
export function isLarge(sessions: number, usable: number): boolean {
  return sessions > 0 && sessions * 10 >= usable
}

export function isHoard({ usage }: Fleet, usable: number): boolean {
  const { length } = usage.members
  return isLarge(length, usable) && usage.idleOverMinute * 2 > length
}

function findFleets({ looks, facts }: Observed, last: Look, usable: number): Fleet[] {
  const byName = measureUsage(looks, nameKey)
  const isOwnFleet = (session: Session) =>
    isLarge(byName.get(nameKey(session))?.peakSessions ?? 0, usable)
  const usages = measureUsage(looks, (session) =>
    isOwnFleet(session) ? nameKey(session) : ownerKey(session),
  )
  const held = facts.holders
    ? withHolders(last.snapshot, facts.holders).sessions
    : last.snapshot.sessions
  const guarded = new Set(held.filter((session) => guard(session)).map(({ pid }) => pid))
  return [...usages.values()]
    .map((usage) => describeFleet(usage, guarded))
    .filter((fleet) => fleet !== undefined)
    .sort((a, b) => b.usage.peakSessions - a.usage.peakSessions)
}

/** Undefined for connections that still log in, which show no role yet. */
function describeFleet(usage: Usage, guarded: Set<number>): Fleet | undefined {
  const [example] = usage.sample
  if (example === undefined || example.user === null) return undefined
  const applications = new Set(usage.sample.map(({ application }) => application))
  const clients = new Set(usage.sample.map(({ client }) => client))
  return {
    pool: {
      user: example.user,
      database: example.database,
      application: applications.size === 1 ? example.application : null,
      client: clients.size === 1 ? example.client : null,
    },
    example: poolFields(example),
    clients: clients.size,
    applications: applications.size,
    usage,
    recognised: recognise(example.user, [...applications], usage.forms),
    guarded: usage.members.filter(({ pid }) => guarded.has(pid)).length,
  }
}

const nameKey = (session: Session) => poolOf({ ...session, client: '' })
const ownerKey = (session: Session) => poolOf({ ...session, application: '\0all', client: '' })

export function roleOf({ observed }: Case, name: string | null): RoleFacts | undefined {
  return observed.facts.roles?.roles.find((role) => role.name === name)
}

/** Its owner bypasses limits and rights: a superuser, or the master user of RDS. */
export function isMighty(role: RoleFacts | undefined): boolean {
  return role !== undefined && (role.superuser || role.master)
}

/** Whether the server has no slot for ordinary roles, or had none at some look. */
export function isFull({ observed, usable }: Pick<Case, 'observed' | 'usable'>): boolean {
  return observed.looks.some(({ refused, snapshot }) => {
    const others = snapshot.sessions.filter(({ pid }) => pid !== snapshot.ownPid)
    return refused || others.length >= usable
  })
}

/** A share of the slots above which little is left, percent. */
const NEARLY_FULL_PERCENT = 80

/** At the fullest look: where sessions come and go, the last one may show a moment of rest. */
export function isNearlyFull(now: Pick<Case, 'observed' | 'usable'>): boolean {
  return peakUsed(now) * 100 > NEARLY_FULL_PERCENT * now.usable
}

/** The most slots used at any look. */
export function peakUsed({ observed }: Pick<Case, 'observed'>): number {
  return greatest(observed.looks.map(({ snapshot }) => snapshot.sessions.length))
}

export function isTight(now: Pick<Case, 'observed' | 'usable'>): boolean {
  return isFull(now) || isNearlyFull(now)
}
