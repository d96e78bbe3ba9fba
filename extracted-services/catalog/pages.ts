// Sending a page of the catalog.
import type { Response } from 'express'
import type { ShopAssets } from './shop-assets.ts'
import { layout, type Page } from './views/layout.ts'

const CONTENT_SECURITY_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

export function sendPage(assets: ShopAssets, response: Response, page: Omit<Page, 'generatedAt'>): void {
  response.set('Cache-Control', 'no-cache')
  response.set('Content-Security-Policy', CONTENT_SECURITY_POLICY)
  response.type('html').send(layout(assets.manifest, { ...page, generatedAt: new Date().toISOString() }))
}

/** A page is the same as long as what it shows and the assets that it names are the same. Weak: its timestamp differs. */
export function pageTag(assets: ShopAssets, contentVersion: string): string {
  return `W/"${contentVersion}-${assets.fingerprint}"`
}
