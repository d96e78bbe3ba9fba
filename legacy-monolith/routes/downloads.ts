// Long responses: the export of all orders for the staff, and the print catalogue.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Request, type Response, Router } from 'express'
import { readRange } from '../byte-range.ts'
import { catalogueBytes, MOST_BYTES } from '../catalogue-file.ts'
import { iterateRows } from '../db.ts'
import { orderNumber } from '../orders.ts'
import { Problem } from '../problem.ts'
import { requireUser } from '../session.ts'
import type { Shop } from '../shop.ts'

const DEFAULT_BYTES = 16 * 1024 * 1024
const MOST_ROWS = 10_000_000

export function downloads(shop: Shop): Router {
  const router = Router()

  router.get('/exports/orders.csv', async (request, response) => {
    const user = requireUser(shop.db, request)
    if (user.role !== 'staff') throw new Problem(403, 'staff-only', 'The export is for the staff.')
    const rows = readCount('rows', request.query.rows, MOST_ROWS, MOST_ROWS)
    response.attachment('orders.csv').set('Cache-Control', 'private, no-store')
    await send(Readable.from(orderLines(shop, rows)), response)
  })

  router.get('/downloads/catalogue.bin', async (request, response) => {
    const size = readCount('bytes', request.query.bytes, DEFAULT_BYTES, MOST_BYTES)
    const etag = `"catalogue-${size}"`
    response.attachment('catalogue.bin').set({ ETag: etag, 'Accept-Ranges': 'bytes', 'Cache-Control': 'no-cache' })
    if (request.fresh) {
      response.status(304).end()
      return
    }
    const range = readRange(rangeThatHolds(request, etag), size)
    if (range.kind === 'unsatisfiable') {
      response.set('Content-Range', `bytes */${size}`)
      throw new Problem(416, 'no-such-range', `The file has ${size} bytes.`)
    }
    const { first, last } = range.kind === 'part' ? range : { first: 0, last: size - 1 }
    if (range.kind === 'part') response.status(206).set('Content-Range', `bytes ${first}-${last}/${size}`)
    response.set('Content-Length', String(last - first + 1))
    if (request.method === 'HEAD') response.end()
    else await send(catalogueBytes(first, last), response)
  })

  return router
}

async function send(content: Readable, response: Response): Promise<void> {
  try {
    await pipeline(content, response)
  } catch (error) {
    // A client that disconnects is not an error of the shop; other errors are logged.
    if (!response.destroyed) throw error
  }
}

function* orderLines(shop: Shop, rows: number): Generator<string> {
  yield 'number,customer,status,total,placed\n'
  const orders = iterateRows<{ id: number; userId: number; status: string; totalCents: number; placedAt: string }>(
    shop.db,
    `SELECT id, user_id AS userId, status, total_cents AS totalCents, placed_at AS placedAt FROM orders
     ORDER BY id LIMIT ?`,
    rows,
  )
  for (const order of orders) {
    yield `${orderNumber(order)},${order.userId},${order.status},${(order.totalCents / 100).toFixed(2)},${order.placedAt}\n`
  }
}

/** If-Range: sends the range only if the client has a part of the same file, else the whole file. */
function rangeThatHolds(request: Request, etag: string): string | undefined {
  const condition = request.get('If-Range')
  return condition === undefined || condition === etag ? request.get('Range') : undefined
}

function readCount(name: string, value: unknown, otherwise: number, most: number): number {
  if (value === undefined) return otherwise
  const count = typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : 0
  if (count < 1 || count > most) throw new Problem(400, `bad-${name}`, `"${name}" is a number from 1 to ${most}.`)
  return count
}
