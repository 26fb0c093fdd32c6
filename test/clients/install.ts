import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Client, PACKAGES, type Runtime } from './clients.ts'

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const LOCK = `${FOLDER}package-lock.json`
const MARK = `${FOLDER}node_modules/.installed`

/** Why the clients of a runtime can't be run here; undefined: they can. */
export function install(runtime: Runtime): string | undefined {
  return runtime === 'npm' ? installFromNpm() : installFromDebian(PACKAGES[runtime])
}

function installFromNpm(): string | undefined {
  if (existsSync(MARK) && statSync(MARK).mtimeMs >= statSync(LOCK).mtimeMs) return undefined
  // Prisma's install step would download from elsewhere; its client needs none of that since release 7.
  const environment = { PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true' }
  const failure =
    failureOf('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']) ??
    failureOf('npx', ['prisma', 'generate', '--schema', 'node/schema.prisma'], environment)
  if (failure === undefined) writeFileSync(MARK, '')
  return failure
}

function installFromDebian(packages: string[]): string | undefined {
  const missing = packages.filter((name) => versionOfDebian(name) === undefined)
  if (missing.length === 0) return undefined
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (process.getuid?.() !== 0) return `needs, as root: \`${command}\``
  process.stderr.write(`clients: as root: ${command}\n`)
  const [file = '', ...args] = command.split(' ')
  return failureOf(file, args, { DEBIAN_FRONTEND: 'noninteractive' })
}

function failureOf(file: string, args: string[], environment = {}): string | undefined {
  const { status, error, stderr } = spawnSync(file, args, {
    cwd: FOLDER,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  })
  if (status === 0) return undefined
  const said = error?.message ?? stderr.trim().split('\n').at(-1)
  return `\`${[file, ...args].join(' ')}\` failed: ${said}`
}

/** The version of a client's package, without what a distribution adds to it. */
export function versionOf({ runtime, package: name }: Client): string {
  if (runtime !== 'npm') return versionOfDebian(name) ?? ''
  return JSON.parse(readFileSync(`${FOLDER}node_modules/${name}/package.json`, 'utf8')).version
}

function versionOfDebian(name: string): string | undefined {
  const { status, stdout } = spawnSync('dpkg', ['-s', name], { encoding: 'utf8' })
  if (status !== 0 || !stdout.includes('\nStatus: install ok installed\n')) return undefined
  const [, version] = /^Version: (?:\d+:)?([\d.]+)/m.exec(stdout) ?? []
  return version
}
