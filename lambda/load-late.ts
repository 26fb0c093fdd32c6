let loading: Promise<typeof import('./late.ts')> | undefined

/** Loads the modules of `late.ts` at its first call. An `import()` takes time even if the module is loaded. */
export function loadLate(): Promise<typeof import('./late.ts')> {
  loading ??= import('./late.ts').catch((error) => {
    loading = undefined
    throw error
  })
  return loading
}
