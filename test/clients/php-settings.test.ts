// What each setting of the incident's write-up does for PostgreSQL.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../stand-ins/postgres.ts'
import { testServer, until } from '../support/server.ts'

const available = ['/usr/bin/php', '/usr/sbin/nginx', '/usr/share/php/Illuminate/Queue'].every(
  existsSync,
)
if (!available) {
  process.stderr.write(
    'php-settings.test.ts is skipped: PHP is not installed (npm run clients -- php installs it)\n',
  )
}

const db = await testServer({ max_connections: '20' })
const app = await db.role('app')
const environment = {
  ...process.env,
  PGHOST: db.server.host,
  PGPORT: String(db.server.port),
  PGDATABASE: 'postgres',
  PGUSER: app.user,
  PGPASSWORD: app.password,
  SETTING: 'off',
  PAUSE_MS: '1000',
}

/** What every script has: the helpers of the programs, and a second connection that counts those of the first. */
const PRELUDE = `
  require 'test/clients/php/rounds.php';
  use Illuminate\\Support\\Facades\\DB;
  $watcher = connect(); $watcher->exec("set application_name = 'watcher'");
  function held(): int {
    global $watcher;
    return $watcher->query("select count(*) from pg_stat_activity where usename = 'app' and application_name <> 'watcher'")->fetchColumn();
  }
  // The end of a session reaches the server a moment later.
  function heldIs(int $number): bool {
    for ($i = 0; $i < 3000 && held() !== $number; $i++) usleep(10000);
    return held() === $number;
  }
  function endAll(): void {
    global $watcher;
    $watcher->query("select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'app' and application_name <> 'watcher'")->fetchAll();
  }
  function error(callable $request): ?string {
    try { $request(); return null; } catch (Throwable $e) { return $e->getMessage(); }
  }
  function show(...$result) { echo json_encode($result); }
`

/** Runs a script in a PHP process, and returns what it shows. */
async function php(script: string, variables = {}): Promise<unknown> {
  const child = spawn('php', ['-r', PRELUDE + script], {
    env: { ...environment, ...variables },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const output = await text(child.stdout)
  return JSON.parse(output)
}

/** Starts a program that works until the test is done. */
function start(file: string, args: string[], variables = {}): void {
  const child = spawn(file, args, { env: { ...environment, ...variables }, stdio: 'ignore' })
  const exited = once(child, 'exit')
  onTestFinished(async () => {
    child.kill()
    await exited
  })
}

// The end of a session reaches the server a moment after the end of its process.
beforeEach(() => until(async () => (await sessions()) === 0))

async function sessions(): Promise<number> {
  const { rows } = await db.admin.query(
    `select count(*)::int as held from pg_stat_activity where usename = '${app.user}'`,
  )
  return rows[0].held
}

describe.skipIf(!available)('PDO', () => {
  test('ATTR_AUTOCOMMIT false is taken, and changes nothing', async () => {
    await db.admin.query('create table orders (id int); grant all on orders to app')
    const result = await php(`
      $db = connect([PDO::ATTR_AUTOCOMMIT => false]);
      $db->exec('insert into orders values (1)');
      show(
        $watcher->query('select count(*) from orders')->fetchColumn(),
        $watcher->query("select state from pg_stat_activity where usename = 'app' and application_name <> 'watcher'")->fetchColumn(),
        error(fn () => $db->getAttribute(PDO::ATTR_AUTOCOMMIT)),
      );`)
    expect(result).toEqual([1, 'idle', expect.stringContaining('IM001')])
  })

  test('ATTR_TIMEOUT is the time to connect, and limits no query', async () => {
    const result = await php(`
      $db = connect([PDO::ATTR_TIMEOUT => 2]);
      show($db->query("select 'done' from pg_sleep(3)")->fetchColumn(), $watcher->query('show statement_timeout')->fetchColumn());`)
    expect(result).toEqual(['done', '0'])
  })

  test('ATTR_TIMEOUT gives up a server that is silent', async () => {
    const silent = createServer(() => undefined)
    const port = await freePort()
    silent.listen(port, '127.0.0.1')
    onTestFinished(() => {
      silent.close()
    })
    const result = await php(
      `putenv('PGPORT=${port}');
      show(error(fn () => connect([PDO::ATTR_TIMEOUT => 2])));`,
    )
    expect(result).toEqual([expect.stringContaining('timeout expired')])
  })

  test('ATTR_PERSISTENT false: a session ends with the last reference to it, also a statement', async () => {
    const result = await php(`
      $db = connect([PDO::ATTR_PERSISTENT => false]);
      $statement = $db->query('select 1');
      $before = held();
      $db = null;
      $kept = held();
      $statement = null;
      show($before, $kept, heldIs(0));`)
    expect(result).toEqual([1, 1, true])
  })

  test('a lost connection says that it is in a transaction', async () => {
    const result = await php(`
      $db = connect();
      $before = $db->inTransaction();
      endAll();
      error(fn () => $db->query('select 1'));
      show($before, $db->inTransaction());`)
    expect(result).toEqual([false, true])
  })
})

describe.skipIf(!available)('Laravel', () => {
  const LARAVEL = "require 'test/clients/php/laravel-database.php';"
  const read = '$read = held();'

  test.each([
    ['without a split', false, '[]', [1, 1]],
    ['with read and write hosts', false, null, [1, 2]],
    ['with read and write hosts', true, null, [1, 2]],
  ])('%s and sticky %s, a process holds', async (_, sticky, more, expected) => {
    const host = `['host' => [getenv('PGHOST')]]`
    const split = more ?? `['read' => ${host}, 'write' => ${host}, 'sticky' => ${sticky}]`
    const result = await php(`${LARAVEL}
      laravel([], ${split});
      DB::select('select 1');
      ${read}
      DB::affectingStatement('create temporary table t ()');
      DB::select('select 1');
      show($read, held());`)
    expect(result).toEqual(expected)
  })

  test.each([
    ['ends the session', 'false', 0],
    ['ends no persistent one', 'true', 1],
  ])('DB::disconnect() %s', async (_, persistent, left) => {
    const result = await php(`${LARAVEL}
      laravel([PDO::ATTR_PERSISTENT => ${persistent}]);
      DB::select('select 1');
      ${read}
      DB::disconnect();
      show($read, heldIs(${left}));`)
    expect(result).toEqual([1, true])
  })

  test('after a transaction was ended, only the query builder or a reconnect mends the process', async () => {
    const result = await php(`${LARAVEL}
      $work = fn () => DB::select('select 1');
      $lose = fn () => DB::transaction(function () use ($work) { $work(); endAll(); $work(); });
      $first = error($lose);
      $again = error(fn () => DB::transaction($work));
      $mended = [error($work), error(fn () => DB::transaction($work))];
      error($lose);
      DB::reconnect();
      show($first, $again, $mended, error(fn () => DB::transaction($work)));`)
    expect(result).toEqual([
      expect.stringContaining('no connection to the server'),
      'There is already an active transaction',
      [null, null],
      null,
    ])
  })

  test('maxProcesses is the number of sessions that its workers hold at rest', async () => {
    for (let worker = 0; worker < 3; worker++) {
      start('php', ['test/clients/php/laravel-queue.php'], { PAUSE_MS: '60000' })
    }
    await expect(until(async () => (await sessions()) === 3)).resolves.toBeUndefined()
  })
})

describe.skipIf(!available)('PHP-FPM', () => {
  /** How many sessions there are at most, until a number of rounds of requests is answered. */
  async function most(children: string, requests: string, ...args: string[]): Promise<number> {
    const program = spawn('node', ['test/clients/php/fpm.mjs', ...args], {
      env: { ...environment, FPM_CHILDREN: children, REQUESTS: requests, PAUSE_MS: '300' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const exited = once(program, 'exit')
    onTestFinished(async () => {
      program.kill()
      await exited
    })
    let lines = 0
    program.stdout.on('data', (chunk) => {
      lines += String(chunk).split('\n').length - 1
    })
    let highest = 0
    await until(async () => {
      highest = Math.max(highest, await sessions())
      return lines >= 3 * Number(requests)
    })
    return highest
  }

  test('pm.max_children is the most sessions that its pages hold', async () => {
    expect(await most('2', '8', 'slow-page')).toBe(2)
  })

  test('without persistent connections no session outlives its page', async () => {
    await most('4', '4', 'page')
    await expect(until(async () => (await sessions()) === 0)).resolves.toBeUndefined()
  })

  test('with persistent connections each child keeps one', async () => {
    await most('4', '8', 'slow-page', 'persistent')
    await expect(until(async () => (await sessions()) === 4)).resolves.toBeUndefined()
  })
})
