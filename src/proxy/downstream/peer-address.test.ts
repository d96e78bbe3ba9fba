import { expect, it } from 'vitest'
import { peerAddress } from './peer-address.ts'

it.each([
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8::1', '2001:db8::1'],
  ['::1', '::1'],
  // Hexadecimal: not how the system writes a mapped address.
  ['::ffff:c000:201', '::ffff:c000:201'],
])('the peer %s is shown as %s', (remoteAddress, shown) => {
  expect(peerAddress({ remoteAddress })).toBe(shown)
})

it('the address of a connection is known after the connection is closed', () => {
  const socket: { remoteAddress?: string } = { remoteAddress: '::ffff:192.0.2.1' }
  peerAddress(socket)
  delete socket.remoteAddress
  expect(peerAddress(socket)).toBe('192.0.2.1')
})
