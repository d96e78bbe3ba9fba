// The shop's stylesheet, script and logo stay with the monolith; the pages made here name them as it does.
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
