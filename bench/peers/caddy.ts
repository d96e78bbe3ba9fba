import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer, Site } from './peer.ts'

export const caddy: Peer = {
  name: 'caddy',
  description: 'GOMAXPROCS=1, lb_policy header Cookie (a hash, so sticky), JSON access log',
  executables: ['caddy'],
  version: () => execFileSync('caddy', ['version'], { encoding: 'utf8' }).split(' ')[0]?.trim() ?? 'unknown',
  prepare: (site) => {
    writeFileSync(join(site.directory, 'Caddyfile'), configuration(site))
    // Its data and its autosaved configuration stay inside the site.
    const env = { GOMAXPROCS: '1', XDG_DATA_HOME: site.directory, XDG_CONFIG_HOME: site.directory }
    const launch = { command: 'caddy', args: ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], env }
    return { launch, accessLog: join(site.directory, 'access.log') }
  },
}

// Caddy has no percentage by cookie; hashing the Cookie header over two upstreams is its nearest to a sticky 50 %.
// 128 idle connections an upstream instead of the default 32, which 64 clients would overflow.
function configuration({ directory, port, originPorts }: Site): string {
  return `
{
  admin off
  auto_https off
}
http://:${port} {
  bind 127.0.0.1
  log {
    output file ${directory}/access.log {
      roll_disabled
    }
  }
  request_header X-Request-Id {http.request.uuid}
  reverse_proxy 127.0.0.1:${originPorts.legacy} 127.0.0.1:${originPorts.service} {
    lb_policy header Cookie
    transport http {
      keepalive_idle_conns_per_host 128
    }
  }
}
`
}
