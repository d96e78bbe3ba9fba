// Parses a line in the `combined` format of nginx and Apache. Further columns are ignored.
import { isSafe } from '../shadow/capture/eligibility.ts'
import { isFieldValue, type ParsedEntry, skipped, unreadable } from './recording.ts'

export function readNginxLine(line: string): ParsedEntry {
  const parts = LINE.exec(line)
  if (parts === null) return unreadable('is not in the format "combined"')
  const [, client, request = '', status, referer = '', userAgent = ''] = parts
  // A client has used TLS on a plain port (`\x16\x03\x01`), or has sent nothing (`-`).
  const words = /^([A-Z-]{1,32}) (\S{1,65536}) HTTP\/\d(?:\.\d)?$/.exec(unescaped(request))
  if (words === null) return unreadable('does not contain a request')
  const [, method = '', target = ''] = words
  if (!isSafe(method)) return skipped('unsafe-method')
  if (status === '101') return skipped('upgrade')
  return {
    kind: 'request',
    request: {
      method,
      target,
      host: undefined,
      secure: undefined,
      client,
      fields: [...headerField('User-Agent', userAgent), ...headerField('Referer', referer)],
    },
  }
}

/** `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"` */
const LINE =
  /^(\S{1,256}) \S{1,256} [^"[]{1,256} ?\[[^\]]{1,64}\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"/

/** nginx writes `-` for a missing field. */
function headerField(name: string, written: string): string[] {
  const value = unescaped(written)
  return value === '-' || value === '' || !isFieldValue(value) ? [] : [name, value]
}

/** nginx writes `"`, `\` and unprintable characters as `\x22`; Apache writes a quote as `\"`. */
function unescaped(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\(?:x([0-9A-Fa-f]{2})|(.))/g, (_, code: string | undefined, character: string) =>
    code === undefined ? character : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
