import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer, Site } from './peer.ts'

export const haproxy: Peer = {
  name: 'haproxy',
  description: '1 thread, hash of the sid cookie modulo 100, http-reuse, httplog to a file',
  executables: ['haproxy'],
  version: () => /version (\S+)/.exec(execFileSync('haproxy', ['-v'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
  prepare: (site) => {
    writeFileSync(join(site.directory, 'haproxy.cfg'), configuration(site))
    // HAProxy writes no log files itself; its standard output is one.
    return { launch: { command: 'haproxy', args: ['-db', '-f', 'haproxy.cfg'] }, accessLog: 'stdout' }
  },
}

function configuration({ port, originPorts }: Site): string {
  return `
global
  nbthread 1
  maxconn 4096
  log stdout format raw local0

defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse aggressive
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 300s

frontend edge
  bind 127.0.0.1:${port} backlog 1024
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Proto http
  use_backend service if { req.cook(sid),xxh32,mod(100) lt 50 }
  default_backend legacy

backend legacy
  server legacy 127.0.0.1:${originPorts.legacy}

backend service
  server service 127.0.0.1:${originPorts.service}
`
}
