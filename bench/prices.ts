/** List prices of us-east-1 in USD, without free tiers. */
export const PRICE = {
  metricMonth: 0.3,
  alarmMonth: 0.1,
  putRequest: 0.01 / 1_000,
  functionRequest: 0.2 / 1_000_000,
  /** For arm64. */
  functionGbSecond: 0.0000133334,
  logGb: 0.5,
}

/** One sweep a minute, in a month of 730 hours. */
export const SWEEPS_A_MONTH = 43_800

/** What Lambda bills for one invocation: whole milliseconds, rounded up. */
export function gbSeconds(ms: number, memoryMb: number): number {
  return (Math.ceil(ms) / 1000) * (memoryMb / 1024)
}

/** The function's cost for a month of such sweeps, USD. */
export function functionCost(ms: number, memoryMb: number): number {
  return SWEEPS_A_MONTH * (PRICE.functionRequest + gbSeconds(ms, memoryMb) * PRICE.functionGbSecond)
}
