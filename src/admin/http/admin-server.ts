// The admin server: probes and metrics for machines, and the API for callers with a token. It has a port of its own.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import proxyaddr from 'proxy-addr'
import { type AdminAppOptions, createAdminApp } from './admin-app.ts'
import { admitConnections } from './admit-connections.ts'
import { limitConnections } from './connection-limit.ts'
import { queueRequests } from './request-queue.ts'

export type AdminOptions = AdminAppOptions & {
  /** 0 selects a free port. */
  readonly port: number
}

export type Admin = {
  readonly port: number
  /** While the gateway drains: ends each event stream after a complete event. @returns the number of streams */
  readonly endStreams: () => number
  readonly close: () => Promise<void>
}

/** @throws {Error} with a `code` such as `EADDRINUSE` if the server cannot listen on the port */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { app, unidentified, endStreams, close } = await createAdminApp(options)
  const server = createServer(LIMITS)
  queueRequests(server, app, MAX_PIPELINED)
  limitConnections(server, { ...MAX_CONNECTIONS, isShared: createTrust(options.trustedProxies), unidentified })
  const closeWaiting = admitConnections(server, ADMISSION, performance.now.bind(performance))
  server.setTimeout(IDLE_MS)
  try {
    await listen(server, options.host, options.port)
    server.on('error', (error) => options.events.acceptFailed({ what: 'admin', error }))
  } catch (error) {
    close()
    throw error
  }
  const { address, port } = server.address() as AddressInfo
  options.events.listening({ what: 'admin', address, port })
  return {
    port,
    endStreams,
    close: () => {
      close()
      closeWaiting()
      return closeServer(server)
    },
  }
}

/** Whether an address is a trusted proxy. */
function createTrust(trustedProxies: readonly string[] = []): (address: string) => boolean {
  const trust = proxyaddr.compile([...trustedProxies])
  return (address) => trust(address, 0)
}

/** Requests are small, and slow clients are disconnected. */
const LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  requireHostHeader: true,
} as const

/** Above a burst, 250 connections a second: each costs the thread that serves clients 0.1 ms and 20 kB. */
const ADMISSION = { burst: 64, everyMs: 4, waiting: 1_024 } as const
const MAX_CONNECTIONS = { inAll: 256, ofAddress: 96 } as const
/** Requests of a connection that wait behind the active one. */
const MAX_PIPELINED = 7

/** Closes a connection without traffic. Longer than a change that waits for Unleash and for the whole fleet. */
const IDLE_MS = 60_000

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
