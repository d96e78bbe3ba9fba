// Protects against pages of other origins that make the browser of a visitor send changes. The token is not in a cookie, so no
// page can send it without knowing it; this check also holds if a page has stolen the token.
import type { IncomingHttpHeaders } from 'node:http'
import { ApiRefusal } from './problem.ts'

/**
 * Refuses a write that a browser sends for a page of another origin. Browsers send Origin with every write, and the relation of
 * the page to this server in Sec-Fetch-Site. A client that sends neither is not a browser.
 */
export function refuseForeignOrigin(headers: IncomingHttpHeaders): ApiRefusal | undefined {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin') return refuse(`Sec-Fetch-Site is ${quote(site)}`)
  if (site !== undefined && origin === undefined) return refuse('a browser’s write has an Origin')
  if (origin === undefined || isSameHost(origin, host)) return undefined
  return refuse(`Origin is ${quote(origin)}`)
}

/** The scheme is not compared: TLS may end in front of the gateway. The host guard has checked Host before. */
function isSameHost(origin: string, host: string | undefined): boolean {
  const [, originHost] = /^https?:\/\/([^/]+)$/.exec(origin.toLowerCase()) ?? []
  return originHost !== undefined && originHost === host?.toLowerCase()
}

function refuse(why: string): ApiRefusal {
  return new ApiRefusal('foreign-origin', undefined, { why })
}

function quote(value: string | string[]): string {
  return JSON.stringify(String(value).slice(0, 200))
}
