import fc from 'fast-check'

// The same input in each run, so that no test fails or passes by chance. Another seed tries other input.
fc.configureGlobal({ seed: Number(process.env.HOSTILE_SEED ?? 1) })

export { fc }
