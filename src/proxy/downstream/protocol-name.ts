// Requests of protocols that resemble HTTP. Node's parser accepts the request lines of RTSP and ICE too, and does not
// expose the protocol's name.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

type Parsed = Socket & { readonly parser?: { readonly getCurrentBuffer?: () => Buffer | undefined } | null }

/**
 * Whether the request line names RTSP or ICE. Works only while the parser emits the request, because it reads the
 * parser's buffer: that contains the request line if it arrived with the end of the head. RTSP has the versions 1.0 and
 * 2.0, ICE has 1.0, so an HTTP/1.1 request costs one comparison.
 */
export function isOtherProtocol(request: IncomingMessage): boolean {
  if (request.httpVersionMinor !== 0) return false
  const bytes = (request.socket as Parsed).parser?.getCurrentBuffer?.()
  if (bytes === undefined) return false
  const text = `\n${bytes.toString('latin1')}`
  const line = `\n${request.method} ${request.url} `
  return text.includes(`${line}RTSP/`) || text.includes(`${line}ICE/`)
}
