// Against pages of other origins that make a visitor's browser write here. No page can do it without the token, and the
// token is in no cookie; this holds even where a page has got hold of one.
import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from './problem.ts'

/**
 * Refuses a write that a browser sends for a page of another origin. Browsers say Origin with every write, and where the
 * page is from in Sec-Fetch-Site; what says neither is no browser.
 */
export function refuseForeignOrigin(headers: IncomingHttpHeaders): Refusal | undefined {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin') return foreign(`Sec-Fetch-Site is ${shown(site)}`)
  if (site !== undefined && origin === undefined) return foreign('a browser’s write has an Origin')
  if (origin === undefined || isOwn(origin, host)) return undefined
  return foreign(`Origin is ${shown(origin)}`)
}

/** The scheme is not compared: TLS may end in front of us. The host has passed the allow-list. */
function isOwn(origin: string, host: string | undefined): boolean {
  const [, own] = /^https?:\/\/([^/]+)$/.exec(origin.toLowerCase()) ?? []
  return own !== undefined && own === host?.toLowerCase()
}

function foreign(why: string): Refusal {
  return new Refusal('foreign-origin', undefined, { why })
}

function shown(value: string | string[]): string {
  return JSON.stringify(String(value).slice(0, 200))
}
