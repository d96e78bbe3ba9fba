// Stylesheet, script and logo, under names with their hash, so that browsers can cache them without a limit.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { extname } from 'node:path'

export interface Asset {
  readonly body: Buffer
  readonly type: string
}

export interface Assets {
  readonly manifest: Readonly<Record<AssetName, string>>
  /** Changes with every change of an asset. */
  readonly fingerprint: string
  readonly byHashedName: ReadonlyMap<string, Asset>
}

export type AssetName = (typeof NAMES)[number]

const NAMES = ['app.css', 'app.js', 'logo.svg'] as const
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

export function loadAssets(): Assets {
  const manifest: Partial<Record<AssetName, string>> = {}
  const byHashedName = new Map<string, Asset>()
  for (const name of NAMES) {
    const body = readFileSync(new URL(`assets/${name}`, import.meta.url))
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 10)
    const ending = extname(name)
    const hashedName = `${name.slice(0, -ending.length)}.${hash}${ending}`
    manifest[name] = `/assets/${hashedName}`
    byHashedName.set(hashedName, { body, type: TYPES[ending] ?? 'application/octet-stream' })
  }
  const fingerprint = createHash('sha256').update(Object.values(manifest).join()).digest('hex').slice(0, 8)
  return { manifest: manifest as Record<AssetName, string>, fingerprint, byHashedName } // every name was set above
}
