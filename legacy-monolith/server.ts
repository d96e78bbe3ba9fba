// Runs the shop: `node legacy-monolith/server.ts`. Environment: PORT, HOST, DATA_FILE, TRUST_PROXY, HEARTBEAT_MS.
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { openShop } from './open-shop.ts'

const { PORT = '3000', HOST = '127.0.0.1', TRUST_PROXY = 'loopback', HEARTBEAT_MS = '15000' } = process.env
const dataFile = process.env.DATA_FILE ?? fileURLToPath(new URL('data/shop.sqlite', import.meta.url))

const shop = openShop({ dataFile, trustProxy: TRUST_PROXY, heartbeatMs: Number(HEARTBEAT_MS), log: console.log })

shop.server.on('error', (error: NodeJS.ErrnoException) => {
  console.error(error.code === 'EADDRINUSE' ? `port ${PORT} is taken; set PORT to another one` : error.message)
  process.exit(1)
})
shop.server.listen(Number(PORT), HOST, () => {
  const { address, port } = shop.server.address() as AddressInfo // it listens on a port, not on a pipe
  console.log(`monolith listens on http://${address.includes(':') ? `[${address}]` : address}:${port}`)
})

let stopping = false
async function stop(signal: NodeJS.Signals): Promise<void> {
  if (stopping) return process.exit(1)
  stopping = true
  console.log(`monolith stops (${signal})`)
  await shop.close()
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
