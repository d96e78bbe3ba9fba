// Range requests for one range (RFC 9110 section 14). A request for several ranges, or in another unit, gets the whole file.

export type ByteRange =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly first: number; readonly last: number }
  | { readonly kind: 'unsatisfiable' }

export function readRange(header: string | undefined, size: number): ByteRange {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return { kind: 'whole' }
  const [, from = '', to = ''] = match
  if (from === '') {
    const length = Number(to)
    if (length === 0 || size === 0) return { kind: 'unsatisfiable' }
    return { kind: 'part', first: Math.max(0, size - length), last: size - 1 }
  }
  const first = Number(from)
  const last = to === '' ? size - 1 : Math.min(Number(to), size - 1)
  if (to !== '' && Number(to) < first) return { kind: 'whole' } // not a valid range at all: as if it were not there
  return first >= size ? { kind: 'unsatisfiable' } : { kind: 'part', first, last }
}
