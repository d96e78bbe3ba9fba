// The services that receive the copies: one that works, and others that fail.
import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import type { Peer, Site } from '../peers/peer.ts'
import { prepareStrangler, routes, strangler } from '../peers/strangler.ts'
import { freePort } from '../workshop.ts'
import { ADMIN_TOKEN } from './switch.ts'

export const MODES = ['well', 'dead', 'hanging', 'slow'] as const
export type Mode = (typeof MODES)[number]

export const MEANINGS: Readonly<Record<Mode, string>> = {
  well: 'answers',
  dead: 'nobody listens',
  hanging: 'never answers',
  slow: 'answers a byte a second',
}

/** Copies that were under way when shadowing was turned off have ended before anything is measured. */
const TIMEOUT_MS = 100

/** Legacy answers all clients; the service is only asked with copies. */
export function shadowPeer(mode: Mode, servicePort: number): Peer {
  return {
    ...strangler,
    name: `shadow ${mode}`,
    prepare: (site: Site) => {
      const map = routes({ ...site, originPorts: { ...site.originPorts, service: servicePort } })
      const shadow = { sample: 1, timeoutMs: TIMEOUT_MS }
      const catalog = { ...map.contexts.catalog, flag: 'nobody-has-it', shadow }
      const prepared = prepareStrangler(site, [], { ...map, contexts: { catalog } })
      const env = { ...prepared.launch.env, STRANGLER_ADMIN_TOKEN: ADMIN_TOKEN }
      return { ...prepared, launch: { ...prepared.launch, env } }
    },
  }
}

export type Target = { readonly port: number; readonly close: () => void }

/** @param well the port of a service that answers */
export async function shadowTarget(mode: Mode, well: number): Promise<Target> {
  if (mode === 'well') return { port: well, close: () => {} }
  if (mode === 'dead') return { port: await freePort(), close: () => {} }
  const server = createServer((socket) => {
    socket.on('error', () => {})
    if (mode === 'hanging') return void socket.resume()
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
      const timer = setInterval(() => socket.write('x'), 1000)
      socket.on('close', () => clearInterval(timer))
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return { port: (server.address() as AddressInfo).port, close: () => closeAll(server) }
}

function closeAll(server: Server): void {
  server.close()
}
