// The gateway with everything on: the flag decides a 50 % canary by session cookie, metrics are counted, every request is logged.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Peer, Site } from './peer.ts'

const COMMAND = fileURLToPath(new URL('../../bin/strangler.js', import.meta.url))
const PACKAGE = new URL('../../package.json', import.meta.url)
const FLAG = 'migrate-catalog'

export const strangler: Peer = {
  name: 'strangler',
  description: 'the gateway: canary of 50 % by flag and sid cookie, metrics, access log to a file',
  executables: [],
  version: () => JSON.parse(readFileSync(PACKAGE, 'utf8')).version,
  prepare: (site) => prepareStrangler(site, []),
}

export function prepareStrangler(site: Site, nodeOptions: readonly string[], map: object = routes(site)) {
  writeFileSync(join(site.directory, 'routes.config.json'), JSON.stringify(map))
  writeFileSync(join(site.directory, 'flags.json'), JSON.stringify(flags()))
  const accessLog = join(site.directory, 'access.log')
  const options = {
    config: join(site.directory, 'routes.config.json'),
    flags: join(site.directory, 'flags.json'),
    port: String(site.port),
    'admin-port': String(site.adminPort),
    'access-log': accessLog,
    'state-dir': join(site.directory, 'state'),
  }
  const given = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  const args = [...nodeOptions, COMMAND, 'serve', ...given]
  const metricsUrl = `http://127.0.0.1:${site.adminPort}/metrics`
  return { launch: { command: process.execPath, args, env: { NODE_ENV: 'production' } }, accessLog, metricsUrl }
}

export function routes({ originPorts }: Site) {
  return {
    legacy: { url: `http://127.0.0.1:${originPorts.legacy}` },
    services: { catalog: { url: `http://127.0.0.1:${originPorts.service}`, connections: 128 } },
    contexts: {
      catalog: { owner: 'team-catalog', service: 'catalog', flag: FLAG, routes: ['/api/*', '/downloads/*'] },
    },
    identity: { session: { cookie: 'sid' }, anonymous: 'cookie' },
  }
}

function flags() {
  const rollout = { rollout: '50', stickiness: 'default', groupId: FLAG }
  const strategies = [{ name: 'flexibleRollout', parameters: rollout, constraints: [] }]
  return { version: 2, features: [{ name: FLAG, type: 'release', enabled: true, strategies, variants: [] }] }
}
