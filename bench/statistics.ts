export function median(samples: number[]): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Rounds to three significant digits: these measurements are not more precise. */
export function brief(value: number): number {
  return Number(value.toPrecision(3))
}

export const ratio = (value: number, floor: number): number => Number((value / floor).toFixed(2))
