// Opens and closes the catalog: database, application, server.
import { createServer, type Server } from 'node:http'
import { createApp } from './app.ts'
import { type Db, openDb } from './db.ts'
import { seed } from './seed.ts'
import { type ShopAssets, shopAssets } from './shop-assets.ts'

/** The dependencies of every route. */
export interface Catalog {
  readonly db: Db
  readonly assets: ShopAssets
  readonly closing: () => boolean
}

export interface CatalogOptions {
  readonly dataFile: string
  readonly trustProxy?: string
  readonly log?: (line: string) => void
}

export interface OpenCatalog {
  readonly server: Server
  /** Waits for requests in flight, and closes the database. */
  close(): Promise<void>
}

const LONGEST_GOODBYE_MS = 10_000

export function openCatalog({ dataFile, trustProxy = 'loopback', log = () => {} }: CatalogOptions): OpenCatalog {
  let closing = false
  const db = openDb(dataFile)
  seed(db)
  const catalog = { db, assets: shopAssets(), closing: () => closing }
  const server = createServer(createApp(catalog, { trustProxy, log }))

  return {
    server,
    async close() {
      closing = true
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
