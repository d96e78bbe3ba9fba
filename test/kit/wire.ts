// A TCP proxy between a gateway and a dependency, which can interrupt the connection.
import net, { type AddressInfo, type Socket } from 'node:net'
import { whenOver } from './lifetime.ts'

export type Wire = {
  readonly port: number
  /** Closes all connections, and each new connection. */
  readonly cut: () => void
  /** Keeps connections open and accepts new ones, but forwards nothing, as if packets were dropped. */
  readonly hang: () => void
  /** Does the same only for connections that have subscribed to a Redis channel. */
  readonly hangSubscriptions: () => void
  /** Forwards everything again, with the delayed bytes. */
  readonly heal: () => void
}

type Strand = { readonly near: Socket; readonly far: Socket; isSubscribed: boolean }

/** Starts a proxy to a port of this machine. */
export async function startWire(to: number): Promise<Wire> {
  const strands = new Set<Strand>()
  let state: 'well' | 'cut' | 'hanging' | 'hanging-subscriptions' = 'well'

  const isHanging = ({ isSubscribed }: Strand) =>
    state === 'hanging' || (state === 'hanging-subscriptions' && isSubscribed)

  function carry(strand: Strand): void {
    for (const socket of [strand.near, strand.far]) {
      if (isHanging(strand)) socket.pause()
      else socket.resume()
    }
  }

  const server = net.createServer((near) => {
    if (state === 'cut') return void near.destroy()
    const far = net.connect(to, '127.0.0.1')
    const strand = { near, far, isSubscribed: false }
    strands.add(strand)
    near.on('data', (chunk: Buffer) => {
      far.write(chunk)
      if (!/\bsubscribe\b/i.test(chunk.toString('latin1'))) return
      strand.isSubscribed = true
      carry(strand)
    })
    far.on('data', (chunk: Buffer) => near.write(chunk))
    for (const socket of [near, far]) {
      socket.on('error', () => {})
      socket.on('close', () => {
        strands.delete(strand)
        near.destroy()
        far.destroy()
      })
    }
    carry(strand)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  function become(next: typeof state): void {
    state = next
    for (const strand of strands) carry(strand)
  }
  const disconnect = () => {
    for (const { near } of strands) near.destroy()
  }
  whenOver(() => {
    disconnect()
    server.close()
  })
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      become('cut')
      disconnect()
    },
    hang: () => become('hanging'),
    hangSubscriptions: () => become('hanging-subscriptions'),
    heal: () => become('well'),
  }
}
