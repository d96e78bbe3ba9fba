// A dual-stack listener reports IPv4 clients with addresses such as `::ffff:192.0.2.1` (RFC 4291 section 2.5.5.2).

const MAPPED = /^::ffff:(?=\d+\.)/i

/** Converts an IPv4-mapped IPv6 address to IPv4. Logs, limits and trust lists use this form. */
export function plainAddress(address: string): string {
  return address.charCodeAt(0) === 0x3a ? address.replace(MAPPED, '') : address
}
