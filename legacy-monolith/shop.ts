// What every part of the shop is handed: its database, its assets, its news of orders.
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
