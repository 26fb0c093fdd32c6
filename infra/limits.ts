/**
 * The memory of the function that sweeps, MB. Lambda gives a function more of a processor with more memory.
 * `bench/lambda.ts` measures what each size costs.
 */
export const MEMORY_MB = 256
/**
 * The time-out of the function that sweeps, seconds. A sweep and its metrics take at most half a minute, and
 * the next sweep starts after a minute.
 */
export const TIMEOUT_SECONDS = 45
