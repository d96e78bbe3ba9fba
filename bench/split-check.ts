// Before anything is measured: does this peer really do the work? Both sides get traffic, and a session keeps its side.

import { cookieOf, SESSIONS } from './load/sessions.ts'
import { DOWNLOAD_BYTES, PATHS, type Side } from './origin.ts'

/** Of 64 hashed sessions, fewer than 16 on a side happens to a fair half-and-half split once in 50,000 hashes. */
const FEWEST_PER_SIDE = 16

export type Split = { readonly legacy: number; readonly service: number }

export async function checkSplit(baseUrl: string): Promise<Split> {
  const first = await sidesOfAllSessions(baseUrl)
  const again = await sidesOfAllSessions(baseUrl)
  const moved = first.filter((side, n) => side !== again[n]).length
  if (moved > 0) throw new Error(`${moved} of ${SESSIONS} sessions changed sides between two requests`)
  const service = first.filter((side) => side === 'service').length
  const split = { legacy: SESSIONS - service, service }
  if (Math.min(split.legacy, split.service) < FEWEST_PER_SIDE)
    throw new Error(`it does not split: ${split.legacy} sessions to legacy, ${split.service} to the service`)
  return split
}

export async function checkDownload(baseUrl: string): Promise<void> {
  const response = await fetch(baseUrl + PATHS.download, { headers: { cookie: cookieOf(0) } })
  const { byteLength } = await response.arrayBuffer()
  if (!response.ok || byteLength !== DOWNLOAD_BYTES)
    throw new Error(`the download answered ${response.status} with ${byteLength} bytes`)
}

function sidesOfAllSessions(baseUrl: string): Promise<Side[]> {
  return Promise.all(Array.from({ length: SESSIONS }, (_, n) => sideOf(baseUrl, cookieOf(n))))
}

// Both marks must agree: the header says which origin answered, the body shows that it is that origin's.
async function sideOf(baseUrl: string, cookie: string): Promise<Side> {
  const response = await fetch(baseUrl + PATHS.json, { headers: { cookie } })
  const text = await response.text()
  const side = response.headers.get('x-side')
  if (response.ok && (side === 'legacy' || side === 'service') && text.includes(`"side":"${side}"`)) return side
  throw new Error(`${PATHS.json} answered ${response.status}, x-side ${side}: ${text.slice(0, 200)}`)
}
