// A page of PHP-FPM behind nginx, asked as browsers ask. Argument: the page, and `persistent` for persistent connections.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const servers = []
const [, , page, ...modes] = process.argv
const children = Number(process.env.FPM_CHILDREN ?? 4)
const requests = Number(process.env.REQUESTS ?? children)
const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-fpm-'))
chmodSync(folder, 0o755)
process.once('exit', () => {
  for (const server of servers) server.kill()
  rmSync(folder, { recursive: true, force: true })
})
process.once('SIGTERM', () => process.exit(0))
const here = fileURLToPath(new URL('.', import.meta.url))
const fpm = readdirSync('/usr/sbin').find((name) => name.startsWith('php-fpm'))
const port = await freePort()
const user = process.getuid() === 0 ? 'user = root\ngroup = root' : ''

writeFileSync(
  join(folder, 'fpm.conf'),
  `[global]
error_log = ${folder}/fpm.log
[www]
${user}
listen = ${folder}/fpm.sock
pm = static
pm.max_children = ${children}
clear_env = no
catch_workers_output = yes
`,
)
writeFileSync(
  join(folder, 'nginx.conf'),
  `daemon off;
pid ${folder}/nginx.pid;
error_log stderr crit;
worker_processes 1;
${process.getuid() === 0 ? 'user root;' : ''}
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  fastcgi_temp_path ${folder}/fastcgi;
  proxy_temp_path ${folder}/proxy;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
    location / {
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME ${here}${page}.php;
      fastcgi_read_timeout 300s;
      fastcgi_pass unix:${folder}/fpm.sock;
    }
  }
}
`,
)

const root = process.getuid() === 0 ? ['--allow-to-run-as-root'] : []
const environment = { ...process.env, PERSISTENT: modes.includes('persistent') ? 'on' : 'off' }
servers.push(
  spawn(`/usr/sbin/${fpm}`, ['--nodaemonize', ...root, '--fpm-config', join(folder, 'fpm.conf')], {
    env: environment,
  }),
  spawn('/usr/sbin/nginx', ['-c', join(folder, 'nginx.conf'), '-e', 'stderr']),
)
for (const server of servers) {
  server.stderr.pipe(process.stderr)
  once(server, 'exit').then(() => process.exit(1))
}
while (!existsSync(join(folder, 'fpm.sock')) || !existsSync(join(folder, 'nginx.pid')))
  await pause(20)

for (let round = 1; ; round++) {
  const atOnce = Array.from({ length: requests }, () => ask(round))
  await Promise.all(atOnce)
  if (page === 'page') for (let number = 1; number <= 2; number++) await ask(round)
  await pause(Number(process.env.PAUSE_MS ?? 1_000))
}

async function ask(round) {
  const response = await fetch(`http://127.0.0.1:${port}/?round=${round}`)
  const text = await response.text()
  process.stdout.write(
    response.ok
      ? text
      : `${JSON.stringify({ round, ok: false, error: `HTTP ${response.status} ${text}` })}\n`,
  )
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}
