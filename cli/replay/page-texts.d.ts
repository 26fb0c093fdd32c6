/** The texts that build.ts makes of the sources in page/. */
declare module 'page:*' {
  export const text: string
}
