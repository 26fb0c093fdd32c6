/** The value below which a share of the samples lies; between two samples it is interpolated. */
export function quantile(samples: number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]]
  if (below === undefined || above === undefined) return Number.NaN
  return below + (above - below) * (place - Math.floor(place))
}

export function median(samples: number[]): number {
  return quantile(samples, 0.5)
}

/** Rounds to three significant digits: these measurements are not more precise. */
export function brief(value: number): number {
  return Number(value.toPrecision(3))
}

/** The median with its quartiles, such as `9.9 (9.5–10.4)`. */
export function spread(samples: number[]): string {
  const [low, high] = [quantile(samples, 0.25), quantile(samples, 0.75)]
  return `${brief(median(samples))} (${brief(low)}–${brief(high)})`
}

/**
 * The median of the ratios of each round: what slows a round down slows both of its samples. A ratio of two
 * medians would compare samples of different rounds.
 * @param samples one for each round
 * @param floors of the same rounds
 */
export function pairedRatio(samples: number[], floors: number[]): number {
  const ratios = samples.map((sample, round) => sample / (floors[round] ?? Number.NaN))
  return Number(median(ratios).toFixed(2))
}
