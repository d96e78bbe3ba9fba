// Reads a request body as JSON, up to a limit.
import type { IncomingHttpHeaders } from 'node:http'
import type { Request } from 'express'
import { BodyTooLong, readUpTo } from '../../lib/bounded-read.ts'
import { ApiRefusal } from './problem.ts'
import { parseStrictly } from './strict-json.ts'

export const MAX_BODY_BYTES = 64 * 1024

/** @returns the value; undefined if there is no body */
export async function readJson(request: Request): Promise<{ readonly value: unknown } | ApiRefusal> {
  const { headers } = request
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0
  if (!hasBody) return { value: undefined }
  // A page of another origin can send a form or text/plain without a preflight request, but not application/json.
  if (!isJson(headers['content-type'])) return new ApiRefusal('not-json-type')
  // No client of this API compresses, and a small compressed body can expand to gigabytes.
  if (isCoded(headers)) return new ApiRefusal('not-json-type', 'a body may not be compressed')
  const bytes = await readBytes(request)
  return bytes instanceof ApiRefusal ? bytes : parse(bytes)
}

function isCoded({ 'content-encoding': content, 'transfer-encoding': transfer }: IncomingHttpHeaders): boolean {
  return content !== undefined || (transfer !== undefined && transfer.toLowerCase() !== 'chunked')
}

/** JSON between systems is UTF-8 (RFC 8259 section 8.1). */
function isJson(type: string | undefined): boolean {
  return /^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i.test(type?.trim() ?? '')
}

/** Whether the body exceeds the limit, or may exceed it because its length is not declared. */
export function isTooLarge({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > MAX_BODY_BYTES
}

/** Refuses as soon as the limit is exceeded. The reader of Express answers after the last byte, which may never arrive. */
async function readBytes(request: Request): Promise<Buffer | ApiRefusal> {
  const tooLarge = new ApiRefusal('body-too-large', `at most ${MAX_BODY_BYTES} bytes`)
  if (Number(request.headers['content-length']) > MAX_BODY_BYTES) return tooLarge
  try {
    return await readUpTo(MAX_BODY_BYTES, request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
  } catch (error) {
    return error instanceof BodyTooLong ? tooLarge : new ApiRefusal('bad-request', 'the body ended early')
  }
}

function parse(bytes: Buffer): { readonly value: unknown } | ApiRefusal {
  const parsed = parseStrictly(bytes)
  return 'value' in parsed ? parsed : new ApiRefusal('not-json', parsed.trouble)
}
