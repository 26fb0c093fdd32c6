/** For every client of the SDK: one retry, and no request that outlasts the invocation. */
export const CLIENT_OPTIONS = {
  maxAttempts: 2,
  requestHandler: {
    /** Milliseconds. */
    connectionTimeout: 1_000,
    /** Milliseconds. */
    requestTimeout: 2_000,
    throwOnRequestTimeout: true,
  },
}
