// What the copies meet: nothing, a service that is well, and services that are no help to anybody.
import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import type { Peer, Site } from '../peers/peer.ts'
import { prepareStrangler, routes, strangler } from '../peers/strangler.ts'
import { freePort } from '../workshop.ts'

export const MODES = ['off', 'on', 'dead', 'hanging', 'slow'] as const
export type Mode = (typeof MODES)[number]

export const MEANINGS: Readonly<Record<Mode, string>> = {
  off: 'nothing is copied',
  on: 'every request is copied, to a service that is well',
  dead: 'every request is copied, and nobody listens',
  hanging: 'every request is copied, and is never answered',
  slow: 'every request is copied, and answered a byte a second',
}

/** Legacy answers all clients; the service is only asked with copies. */
export function shadowPeer(mode: Mode, servicePort: number): Peer {
  return {
    ...strangler,
    name: `shadow ${mode}`,
    prepare: (site: Site) => {
      const map = routes({ ...site, originPorts: { ...site.originPorts, service: servicePort } })
      const shadow = { sample: mode === 'off' ? 0 : 1, timeoutMs: 2000 }
      const catalog = { ...map.contexts.catalog, flag: 'nobody-has-it', shadow }
      return prepareStrangler(site, [], { ...map, contexts: { catalog } })
    },
  }
}

export type Target = { readonly port: number; readonly close: () => void }

/** @param well the port of a service that answers */
export async function shadowTarget(mode: Mode, well: number): Promise<Target> {
  if (mode === 'off' || mode === 'on') return { port: well, close: () => {} }
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
