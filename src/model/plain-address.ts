// An IPv4 client of a dual-stack listener has an address such as `::ffff:192.0.2.1` (RFC 4291 section 2.5.5.2).

const MAPPED = /^::ffff:(?=\d+\.)/i

/** An IPv4-mapped IPv6 address as IPv4; every other address as it is. Logs, limits and trust lists use this form. */
export function plainAddress(address: string): string {
  return address.charCodeAt(0) === 0x3a ? address.replace(MAPPED, '') : address
}
