// Runs the orders service: `node extracted-services/orders/server.ts`. Environment: PORT, HOST, DATA_FILE, SESSION_URL, USER_HEADER, TRUST_PROXY, HEARTBEAT_MS.
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { openOrders } from './open-orders.ts'

const { PORT = '3002', HOST = '127.0.0.1', TRUST_PROXY = 'loopback', HEARTBEAT_MS = '15000' } = process.env
const dataFile = process.env.DATA_FILE ?? fileURLToPath(new URL('data/orders.sqlite', import.meta.url))

const orders = openOrders({
  dataFile,
  sessionUrl: process.env.SESSION_URL,
  userHeader: process.env.USER_HEADER?.toLowerCase() || undefined,
  trustProxy: TRUST_PROXY,
  heartbeatMs: Number(HEARTBEAT_MS),
  log: console.log,
})

orders.server.on('error', (error: NodeJS.ErrnoException) => {
  console.error(error.code === 'EADDRINUSE' ? `port ${PORT} is taken; set PORT to another one` : error.message)
  process.exit(1)
})
orders.server.listen(Number(PORT), HOST, () => {
  const { address, port } = orders.server.address() as AddressInfo // it listens on a port, not on a pipe
  console.log(`orders listens on http://${address.includes(':') ? `[${address}]` : address}:${port}`)
})

let stopping = false
async function stop(signal: NodeJS.Signals): Promise<void> {
  if (stopping) return process.exit(1)
  stopping = true
  console.log(`orders stops (${signal})`)
  await orders.close()
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
