// A request's body as JSON, read up to a limit.
import type { IncomingHttpHeaders } from 'node:http'
import type { Request } from 'express'
import { Refusal } from './problem.ts'
import { parseStrictly } from './strict-json.ts'

export const MOST_BODY_BYTES = 64 * 1024

/** The body as a value; undefined if there is none. */
export async function readJson(request: Request): Promise<{ readonly value: unknown } | Refusal> {
  const { headers } = request
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0
  if (!hasBody) return { value: undefined }
  // A form or text/plain can be sent by any page without asking first: the type is what tells them from ours.
  if (!isJson(headers['content-type'])) return new Refusal('not-json-type')
  // What is compressed is not ours, and a bomb would be.
  if (isCoded(headers)) return new Refusal('not-json-type', 'a body may not be compressed')
  const bytes = await readBytes(request)
  return bytes instanceof Refusal ? bytes : parse(bytes)
}

function isCoded({ 'content-encoding': content, 'transfer-encoding': transfer }: IncomingHttpHeaders): boolean {
  return content !== undefined || (transfer !== undefined && transfer.toLowerCase() !== 'chunked')
}

/** RFC 8259 section 8.1: JSON between systems is UTF-8. */
function isJson(type: string | undefined): boolean {
  return /^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i.test(type?.trim() ?? '')
}

/** Whether more will come than is ever read. Where nobody says how much, it may. */
export function isTooLarge({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > MOST_BODY_BYTES
}

/** Refuses as soon as it is too much. Express's own reader answers when the last byte has come, and that may be never. */
async function readBytes(request: Request): Promise<Buffer | Refusal> {
  const tooLarge = new Refusal('body-too-large', `at most ${MOST_BODY_BYTES} bytes`)
  if (Number(request.headers['content-length']) > MOST_BODY_BYTES) return tooLarge
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength
      if (bytes > MOST_BODY_BYTES) return tooLarge
      chunks.push(chunk)
    }
  } catch {
    return new Refusal('bad-request', 'the body did not come to its end')
  }
  return Buffer.concat(chunks)
}

function parse(bytes: Buffer): { readonly value: unknown } | Refusal {
  const read = parseStrictly(bytes)
  return 'value' in read ? read : new Refusal('not-json', read.trouble)
}
