// The split as a Node proxy's own code would write it: FNV-1a over the session cookie, half to each side.
export type Origins = { readonly legacy: string; readonly service: string }

export function originsFromArguments(): Origins & { readonly port: number } {
  const [port, legacy, service] = process.argv.slice(2).map(Number)
  return { port: port ?? 0, legacy: `http://127.0.0.1:${legacy}`, service: `http://127.0.0.1:${service}` }
}

export function originFor(cookie: string | undefined, origins: Origins): string {
  const session = sessionIn(cookie ?? '')
  return session !== undefined && hash(session) % 100 < 50 ? origins.service : origins.legacy
}

function sessionIn(cookie: string): string | undefined {
  return /(?:^|;\s*)sid=([^;]*)/.exec(cookie)?.[1]
}

function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}
