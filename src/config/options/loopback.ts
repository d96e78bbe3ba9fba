// Host names of this machine: traffic to them does not leave it.

/** @param hostname as `URL` writes it, with brackets around an IPv6 address */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
