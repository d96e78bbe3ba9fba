// Runs the catalog: `node extracted-services/catalog/server.ts`. Environment: PORT, HOST, DATA_FILE, TRUST_PROXY.
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { openCatalog } from './open-catalog.ts'

const { PORT = '3001', HOST = '127.0.0.1', TRUST_PROXY = 'loopback' } = process.env
const dataFile = process.env.DATA_FILE ?? fileURLToPath(new URL('data/catalog.sqlite', import.meta.url))

const catalog = openCatalog({ dataFile, trustProxy: TRUST_PROXY, log: console.log })

catalog.server.on('error', (error: NodeJS.ErrnoException) => {
  console.error(error.code === 'EADDRINUSE' ? `port ${PORT} is taken; set PORT to another one` : error.message)
  process.exit(1)
})
catalog.server.listen(Number(PORT), HOST, () => {
  const { address, port } = catalog.server.address() as AddressInfo // it listens on a port, not on a pipe
  console.log(`catalog listens on http://${address.includes(':') ? `[${address}]` : address}:${port}`)
})

let stopping = false
async function stop(signal: NodeJS.Signals): Promise<void> {
  if (stopping) return process.exit(1)
  stopping = true
  console.log(`catalog stops (${signal})`)
  await catalog.close()
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
