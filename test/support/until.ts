import { setTimeout as pause } from 'node:timers/promises'

/** Only what fails comes near it. */
const LIMIT_MS = 30_000

/** Polls until it holds; tests never sleep for an effect. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs = LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('waited in vain')
    await pause(10)
  }
}
