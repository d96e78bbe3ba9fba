// The stylesheet, script and logo of the shop, which the monolith serves: pages of this service link to them.
// After a change of the monolith's assets its /assets/manifest.json goes into shop-assets.json: faithful.test.ts tells.
import { createHash } from 'node:crypto'
import manifest from './shop-assets.json' with { type: 'json' }

export interface ShopAssets {
  readonly manifest: typeof manifest
  readonly fingerprint: string
}

export function shopAssets(): ShopAssets {
  const fingerprint = createHash('sha256').update(Object.values(manifest).join()).digest('hex').slice(0, 8)
  return { manifest, fingerprint }
}
