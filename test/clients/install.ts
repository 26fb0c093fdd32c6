import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Client, packagesOf } from './clients.ts'

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const LOCK = `${FOLDER}package-lock.json`
const MARK = `${FOLDER}node_modules/.installed`

/** Installs what these clients need, as far as it can be had here. */
export function install(clients: Client[]): void {
  if (clients.some(({ runtime }) => runtime === 'npm')) installFromNpm()
  const missing = [...new Set(clients.flatMap(packagesOf))].filter((name) => !debianVersion(name))
  if (missing.length > 0 && process.getuid?.() === 0) installFromDebian(missing)
}

/** Why a client can't be run here; undefined: it can. */
export function obstacle(client: Client): string | undefined {
  if (client.runtime === 'npm') {
    return existsSync(MARK) ? undefined : '`npm ci` failed in `test/clients`'
  }
  const missing = packagesOf(client).filter((name) => !debianVersion(name))
  return missing.length === 0 ? undefined : `needs Debian's \`${missing.join(' ')}\``
}

function installFromNpm(): void {
  if (existsSync(MARK) && statSync(MARK).mtimeMs >= statSync(LOCK).mtimeMs) return
  // Prisma's install step would download from elsewhere; since release 7 its client needs none of that.
  const environment = { PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true' }
  const isThere =
    run('npm ci --ignore-scripts --no-audit --no-fund') &&
    run('npx prisma generate --schema node/schema.prisma', environment)
  if (isThere) writeFileSync(MARK, '')
}

/** All at once, or each one that this release of Debian has. */
function installFromDebian(packages: string[]): void {
  const install = (names: string[]) =>
    run(`apt-get install -y --no-install-recommends ${names.join(' ')}`, {
      DEBIAN_FRONTEND: 'noninteractive',
    })
  if (run('apt-get update') && !install(packages)) for (const name of packages) install([name])
}

/** Runs a command, and says so. */
function run(command: string, environment = {}): boolean {
  process.stderr.write(`clients: ${command}\n`)
  const [file = '', ...args] = command.split(' ')
  const { status, stderr } = spawnSync(file, args, {
    cwd: FOLDER,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  })
  if (status !== 0) process.stderr.write(`clients: that failed:\n${stderr}`)
  return status === 0
}

/** The version of a client, without what a distribution adds to it. */
export function versionOf({ runtime, package: name }: Client): string {
  if (name === 'php-cli') {
    return spawnSync('php', ['-r', 'echo PHP_VERSION;'], { encoding: 'utf8' }).stdout
  }
  if (runtime !== 'npm') return debianVersion(name) ?? ''
  return JSON.parse(readFileSync(`${FOLDER}node_modules/${name}/package.json`, 'utf8')).version
}

/** Undefined: it is not installed. */
function debianVersion(name: string): string | undefined {
  const { stdout } = spawnSync('dpkg', ['-s', name], { encoding: 'utf8' })
  if (!stdout?.includes('\nStatus: install ok installed\n')) return undefined
  return /^Version: (?:\d+:)?([\d.]+)/m.exec(stdout)?.[1]
}
