const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Turns a signal into an exit with the shells' code for it (130 for Ctrl-C), so that what listens
 * for the exit of this process cleans up. A second signal does not cut that short.
 * @returns a function that undoes it
 */
export function exitOnSignals(): () => void {
  const exit = (_: string, number: number) => process.exit(128 + number)
  for (const signal of SIGNALS) process.on(signal, exit)
  return () => {
    for (const signal of SIGNALS) process.off(signal, exit)
  }
}
