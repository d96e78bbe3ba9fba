// The dependencies of every part of the shop: the database, the assets and the changes of orders.
import type { Assets } from './assets.ts'
import type { Closing } from './closing.ts'
import type { Db } from './db.ts'
import type { OrderFeed } from './order-feed.ts'

export interface Shop {
  readonly db: Db
  readonly assets: Assets
  readonly feed: OrderFeed
  readonly closing: Closing
  readonly uploadsFolder: string
  readonly heartbeatMs: number
}
