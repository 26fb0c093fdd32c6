/**
 * For every client of the SDK: one retry, and no request that outlasts the invocation. A function of little
 * memory has little of a processor, and the work of a request counts as waiting for it.
 */
export const CLIENT_OPTIONS = {
  maxAttempts: 2,
  requestHandler: {
    /** Until the connection stands, without TLS, ms. Part of the request's time. */
    connectionTimeout: 1_500,
    /** Until the response begins, ms. */
    requestTimeout: 2_000,
    throwOnRequestTimeout: true,
  },
}
