// Sends a page of the shop.
import type { Response } from 'express'
import type { Shop } from './shop.ts'
import { layout, type Page } from './views/layout.ts'

const CONTENT_SECURITY_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

export function sendPage(shop: Shop, response: Response, page: Omit<Page, 'generatedAt'>): void {
  if (!response.get('Cache-Control')) response.set('Cache-Control', 'no-cache')
  response.set('Content-Security-Policy', CONTENT_SECURITY_POLICY)
  response.type('html').send(layout(shop.assets.manifest, { ...page, generatedAt: new Date().toISOString() }))
}

/** The ETag depends on the content and the assets of the page. It is weak, because the timestamp in the page differs. */
export function pageTag(shop: Shop, contentVersion: string): string {
  return `W/"${contentVersion}-${shop.assets.fingerprint}"`
}
