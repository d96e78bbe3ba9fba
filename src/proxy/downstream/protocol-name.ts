// Requests of protocols that resemble HTTP. Node's parser accepts the request lines of RTSP and ICE too, and does not
// expose the protocol's name.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

type Parsed = Socket & { readonly parser?: { readonly getCurrentBuffer?: () => Buffer | undefined } | null }

/**
 * Whether the request line names RTSP or ICE. To be called while the parser emits the request, since it reads the bytes
 * that are being parsed: it sees a request line that arrived with the end of its head. RTSP has the versions 1.0 and 2.0,
 * ICE has 1.0, so an HTTP/1.1 request costs one comparison.
 */
export function isOtherProtocol(request: IncomingMessage): boolean {
  if (request.httpVersionMinor !== 0) return false
  const bytes = (request.socket as Parsed).parser?.getCurrentBuffer?.()
  if (bytes === undefined) return false
  const text = `\n${bytes.toString('latin1')}`
  const line = `\n${request.method} ${request.url} `
  return text.includes(`${line}RTSP/`) || text.includes(`${line}ICE/`)
}
