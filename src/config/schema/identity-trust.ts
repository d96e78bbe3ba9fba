// A peer in `identity.user.trust` can act as every user, so each must be a proxy in `trustedProxies`.
import { formatValue, joinPath, type Mistake } from '../mistake.ts'
import type { ValidConfig } from './valid-config.ts'

/** A range of addresses as IPv6; IPv4 is mapped into `::ffff:0:0/96` (RFC 4291 section 2.5.5.2). */
type Range = { readonly address: bigint; readonly prefix: number }

const BITS = 128
const IPV4_OFFSET = 96

/** The names that a trust list accepts instead of ranges, as proxy-addr defines them. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/**
 * Lists the ranges of `identity.user.trust` that `trustedProxies` does not contain, each as a mistake. Version 0.1
 * accepted them, so a gateway starts with them and logs a warning; `strangler check` reports them as mistakes.
 */
export function identityTrustMistakes({
  identity,
  trustedProxies,
}: Pick<ValidConfig, 'identity' | 'trustedProxies'>): Mistake[] {
  const { user } = identity
  if (user === undefined) return []
  const proxies = trustedProxies.flatMap(rangesOf)
  return user.trust.flatMap((written, index) => {
    if (rangesOf(written).every((range) => isCovered(range, proxies))) return []
    const message = `is not within trustedProxies: every client in it can act as any user by sending ${user.header}. List only the addresses of your proxies, here and in trustedProxies, or remove identity.user`
    return [{ path: joinPath('identity.user.trust', index), found: formatValue(written), message }]
  })
}

/** @param written an address, a range or a name that validation has accepted */
function rangesOf(written: string): Range[] {
  const named = NAMED[written]
  if (named !== undefined) return named.flatMap(rangesOf)
  const [text = '', length] = written.split('/')
  const isIpv4 = !text.includes(':')
  const bits = length === undefined ? BITS : Number(length) + (isIpv4 ? IPV4_OFFSET : 0)
  return [{ address: firstOf(isIpv4 ? `::ffff:${text}` : text, bits), prefix: bits }]
}

/** The first address of the range: the bits after the prefix are zero. */
function firstOf(text: string, prefix: number): bigint {
  const rest = BigInt(BITS - prefix)
  return (parseIpv6(text) >> rest) << rest
}

function parseIpv6(text: string): bigint {
  // A URL writes every IPv6 address in one form: hexadecimal groups, and at most one "::".
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const [headGroups, tailGroups] = [groups(head), groups(tail ?? '')]
  const zeros = Array.from({ length: 8 - headGroups.length - tailGroups.length }, () => '0')
  return [...headGroups, ...zeros, ...tailGroups].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n)
}

/** Whether the proxies' ranges contain the whole range, one of them alone or several together. */
function isCovered(range: Range, proxies: readonly Range[]): boolean {
  if (proxies.some((proxy) => contains(proxy, range))) return true
  const inside = proxies.filter((proxy) => contains(range, proxy))
  if (inside.length === 0) return false
  const prefix = range.prefix + 1
  const upper = range.address | (1n << BigInt(BITS - prefix))
  return isCovered({ ...range, prefix }, inside) && isCovered({ address: upper, prefix }, inside)
}

function contains(outer: Range, inner: Range): boolean {
  const rest = BigInt(BITS - outer.prefix)
  return outer.prefix <= inner.prefix && outer.address >> rest === inner.address >> rest
}
