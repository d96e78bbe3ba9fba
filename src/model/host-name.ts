// The name in a Host field, for routes and for flags.

const OPENING_BRACKET = 91
const DOT = 46

/** @param host in lower case (RFC 9110 section 7.2) @returns the host without its port and without a final dot */
export function hostName(host: string): string {
  const end = host.charCodeAt(0) === OPENING_BRACKET ? host.indexOf(']') + 1 : host.indexOf(':')
  const name = end <= 0 ? host : host.slice(0, end)
  return name.charCodeAt(name.length - 1) === DOT ? name.slice(0, -1) : name
}
