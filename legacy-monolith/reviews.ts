// Product reviews of customers, optionally with a photo.
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execute, queryRows } from './db.ts'
import { Problem } from './problem.ts'
import type { User } from './session.ts'
import type { Shop } from './shop.ts'

export interface Review {
  readonly author: string
  readonly rating: number
  readonly text: string
  readonly photo: string | null
  readonly at: string
}

export const PHOTO_TYPES: Readonly<Record<string, string>> = {
  jpg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
}

export function listReviews(shop: Shop, productId: number): Review[] {
  return queryRows<Review>(
    shop.db,
    'SELECT author, rating, text, photo, at FROM reviews WHERE product_id = ? ORDER BY id DESC LIMIT 100',
    productId,
  )
}

export async function addReview(
  shop: Shop,
  user: User,
  productId: number,
  form: Readonly<Record<string, unknown>>,
  photo: Buffer | undefined,
): Promise<void> {
  const rating = Number(form.rating)
  const text = typeof form.text === 'string' ? form.text.trim() : ''
  if (!Number.isInteger(rating) || rating < 1 || rating > 5) {
    throw new Problem(422, 'bad-rating', '"rating" is a number from 1 to 5.')
  }
  if (text.length < 1 || text.length > 2000) throw new Problem(422, 'bad-text', '"text" has 1 to 2000 characters.')
  const name = photo && (await keepPhoto(shop, photo))
  execute(
    shop.db,
    'INSERT INTO reviews (product_id, user_id, author, rating, text, photo, at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    productId,
    user.id,
    user.name,
    rating,
    text,
    name ?? null,
    new Date().toISOString(),
  )
}

/** The shop generates the file name and detects the type from the bytes, because values of the browser are not trusted. */
async function keepPhoto(shop: Shop, photo: Buffer): Promise<string> {
  const kind = photoKind(photo)
  if (!kind) throw new Problem(415, 'bad-photo', 'A photo is a JPEG, PNG or WebP file.')
  const name = `${randomUUID()}.${kind}`
  await mkdir(shop.uploadsFolder, { recursive: true })
  await writeFile(join(shop.uploadsFolder, name), photo)
  return name
}

function photoKind(photo: Buffer): 'jpg' | 'png' | 'webp' | undefined {
  if (photo.subarray(0, 3).toString('hex') === 'ffd8ff') return 'jpg'
  if (photo.subarray(0, 8).toString('hex') === '89504e470d0a1a0a') return 'png'
  if (photo.toString('latin1', 0, 4) === 'RIFF' && photo.toString('latin1', 8, 12) === 'WEBP') return 'webp'
  return undefined
}
