import { age } from '../show.ts'

/** Times have microseconds, and their differences a rounding error below that. */
const TOLERANCE = 1e-3

export const thousandth = (value: number) => Math.round(value * 1000) / 1000

/** To a tenth, never above the value: for a lower bound. */
export const tenthDown = (value: number) => Math.floor(value * 10 + TOLERANCE) / 10

/** To a tenth, never below the value: for an upper bound. */
export const tenthUp = (value: number) => Math.ceil(value * 10 - TOLERANCE) / 10

/** A duration for people in its two greatest units, never below the value: for an upper bound. */
export function ageUp(seconds: number): string {
  const unit = seconds >= 86_400 ? 3_600 : seconds >= 3_600 ? 60 : 1
  return age(Math.ceil(seconds / unit) * unit)
}

/** An instant in ISO 8601, UTC. */
export const instant = (ms: number) => new Date(ms).toISOString()
