// Opens and closes the orders service: database, application, server, WebSockets.
import { createServer, type Server } from 'node:http'
import { createApp } from './app.ts'
import { openDb } from './db.ts'
import { type IdentifyCustomer, identifyCustomer } from './identify-customer.ts'
import { attachLiveOrders } from './live-orders.ts'
import { OrderFeed } from './order-feed.ts'
import type { OrderBook } from './orders.ts'
import { seed } from './seed.ts'

/** The dependencies of every route. */
export interface Orders extends OrderBook {
  readonly customerOf: IdentifyCustomer
  readonly closing: () => boolean
}

export interface OrdersOptions {
  readonly dataFile: string
  readonly sessionUrl?: string | undefined
  /** The header in which the gateway sends the user id, in lower case; without it no header is trusted. */
  readonly userHeader?: string | undefined
  readonly trustProxy?: string
  readonly heartbeatMs?: number
  readonly log?: (line: string) => void
}

export interface OpenOrders {
  readonly server: Server
  /** Ends the WebSockets, waits for requests in flight, and closes the database. */
  close(): Promise<void>
}

const LONGEST_GOODBYE_MS = 10_000

export function openOrders(options: OrdersOptions): OpenOrders {
  const { dataFile, sessionUrl, userHeader, trustProxy = 'loopback', heartbeatMs = 15_000, log = () => {} } = options
  let closing = false
  const db = openDb(dataFile)
  seed(db)
  const customerOf = identifyCustomer(sessionUrl, userHeader)
  const orders = { db, feed: new OrderFeed(), customerOf, closing: () => closing }
  const server = createServer(createApp(orders, { trustProxy, log }))
  const live = attachLiveOrders(server, orders, heartbeatMs)

  return {
    server,
    async close() {
      closing = true
      live.close()
      await closed(server)
      db.close()
    },
  }
}

function closed(server: Server): Promise<void> {
  if (!server.listening) return Promise.resolve()
  return new Promise((resolve) => {
    const impatience = setTimeout(() => server.closeAllConnections(), LONGEST_GOODBYE_MS)
    server.close(() => {
      clearTimeout(impatience)
      resolve()
    })
  })
}
