// nginx as a canary proxy is usually written: split_clients on the session cookie, kept-alive upstreams, an access log.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer, Site } from './peer.ts'

export const nginx: Peer = {
  name: 'nginx',
  description: '1 worker, split_clients on the sid cookie, upstream keepalive, buffered access log',
  executables: ['nginx'],
  version: () => spawnSync('nginx', ['-v'], { encoding: 'utf8' }).stderr.trim().replace(/^.*\//, ''),
  prepare: (site) => {
    writeFileSync(join(site.directory, 'peer.conf'), configuration(site))
    const launch = { command: 'nginx', args: ['-e', 'stderr', '-p', site.directory, '-c', 'peer.conf'] }
    return { launch, accessLog: join(site.directory, 'access.log') }
  },
}

export function nginxPreamble(directory: string): string {
  // Started as root, nginx would give its workers another user, who may not enter the run's private folder.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `
daemon off;
${user}
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
`
}

function configuration({ directory, port, originPorts }: Site): string {
  return `
${nginxPreamble(directory)}
http {
  proxy_temp_path ${directory}/proxy_temp;
  client_body_temp_path ${directory}/body_temp;
  log_format canary '$remote_addr [$time_iso8601] "$request" $status $body_bytes_sent '
                    'side=$side upstream=$upstream_addr $request_time $upstream_response_time $request_id';
  access_log ${directory}/access.log canary buffer=64k flush=1s;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;

  split_clients $cookie_sid $side {
    50% service;
    *   legacy;
  }
  upstream legacy  { server 127.0.0.1:${originPorts.legacy};  keepalive 128; keepalive_requests 1000000000; }
  upstream service { server 127.0.0.1:${originPorts.service}; keepalive 128; keepalive_requests 1000000000; }

  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://$side;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
      # Stream, as a gateway must: without this a response larger than the buffers is written to disk first.
      proxy_max_temp_file_size 0;
    }
  }
}
`
}
