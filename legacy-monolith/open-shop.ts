// Opens and closes the shop: database, application, server, streams.
import { createServer, type Server } from 'node:http'
import { dirname, join } from 'node:path'
import { createApp } from './app.ts'
import { loadAssets } from './assets.ts'
import { Closing } from './closing.ts'
import { openDb } from './db.ts'
import { attachLiveOrders } from './live-orders.ts'
import { OrderFeed } from './order-feed.ts'
import { seed } from './seed.ts'

export interface ShopOptions {
  readonly dataFile: string
  readonly trustProxy?: string
  readonly heartbeatMs?: number
  readonly log?: (line: string) => void
}

export interface OpenShop {
  readonly server: Server
  /** Ends the streams, waits for requests in flight, and closes the database. */
  close(): Promise<void>
}

const LONGEST_GOODBYE_MS = 10_000

export function openShop(options: ShopOptions): OpenShop {
  const { dataFile, trustProxy = 'loopback', heartbeatMs = 15_000, log = () => {} } = options
  const db = openDb(dataFile)
  seed(db)
  const uploadsFolder = join(dirname(dataFile), 'uploads')
  const closing = new Closing()
  const shop = { db, assets: loadAssets(), feed: new OrderFeed(db), closing, uploadsFolder, heartbeatMs }
  const server = createServer(createApp(shop, { trustProxy, log }))
  attachLiveOrders(server, shop)

  return {
    server,
    async close() {
      closing.close()
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
