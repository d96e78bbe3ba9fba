// The shop as it is shipped publishes port 8080 on all interfaces, so its clients come from any address.
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { openOrders } from '../../extracted-services/orders/open-orders.ts'
import { ROOT } from '../docs/markdown.ts'
import { startGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { startHttpOrigin } from '../kit/origin.ts'

/** The shipped map in front of the real orders service, which has customer 7's order 42. Nobody is signed in. */
async function startShippedShop() {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-shipped-'))
  const monolith = await startHttpOrigin((_request, response) => response.end('{"user":null}'))
  const orders = openOrders({ dataFile: join(folder, 'orders.sqlite'), sessionUrl: `${monolith.url}/api/session` })
  await new Promise<void>((resolve) => orders.server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    vi.unstubAllEnvs()
    orders.server.closeAllConnections()
    await orders.close()
    await rm(folder, { recursive: true, force: true })
  })
  vi.stubEnv('MONOLITH_URL', monolith.url)
  vi.stubEnv('ORDERS_URL', `http://127.0.0.1:${(orders.server.address() as AddressInfo).port}`)
  return startGateway(
    { legacy: { url: monolith.url } },
    { config: join(ROOT, 'routes.config.ts'), percentages: { 'migrate-orders': 100 } },
  )
}

/** This machine has no such address: the sockets of the gateway report it as the address of their peer. */
function seemsToConnectFrom(address: string): void {
  const prototype = Socket.prototype as unknown as { _getpeername: () => { address?: string } }
  const peerName = vi.spyOn(prototype, '_getpeername').mockReturnValue({ address })
  onTestFinished(() => peerName.mockRestore())
}

// The attack: a machine of the same private network sends the header in which a proxy would name the user.
it.each(['10.20.30.40', '::ffff:10.20.30.40', '192.168.1.2', '127.0.0.1'])(
  'a client at %s cannot read the orders of another customer of the shipped shop',
  async (address) => {
    const gateway = await startShippedShop()
    seemsToConnectFrom(address)
    for (const headers of [{ 'X-User-Id': '7' }, { 'X-User-Id': '7', 'X-Forwarded-For': '10.0.0.1' }]) {
      const answer = await sendRequest({ port: gateway.port, path: '/api/orders/42', headers })
      expect(answer.headers['x-served-by']).toBe('orders')
      expect(answer).toMatchObject({ status: 401 })
    }
    // The shipped drain gives a load balancer its notice; this signal leaves it out.
    await gateway.stop('SIGINT')
  },
)
