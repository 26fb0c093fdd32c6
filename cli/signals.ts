const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Turns a signal into an exit with the shell's code for it (130 for Ctrl-C), so that the `exit`
 * listeners of this process clean up. A second signal does not interrupt them.
 * @returns a function that removes the handlers
 */
export function exitOnSignals(): () => void {
  const exit = (_: string, number: number) => process.exit(128 + number)
  for (const signal of SIGNALS) process.on(signal, exit)
  return () => {
    for (const signal of SIGNALS) process.off(signal, exit)
  }
}
