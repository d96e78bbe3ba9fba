// `strangler status` with a real gateway: unavailable services, and files on disk that are not in force.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { adjustableClock } from '../kit/calm.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { runStrangler } from '../kit/process.ts'
import { shop, TO_SERVICE } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

async function statusOf(gateway: TestGateway): Promise<string> {
  const token = (await readFile(join(gateway.folder, 'state', 'admin-token'), 'utf8')).trim()
  const env = { STRANGLER_URL: `http://127.0.0.1:${gateway.adminPort}`, STRANGLER_TOKEN: token }
  const { code, stdout, stderr } = await runStrangler(['status'], { env })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.next`, text)
  await rename(`${file}.next`, file)
}

describe('a file on disk that was rejected', () => {
  it.each([
    ['map', 'routes.config.json', /^map +\S*routes\.config\.json rejected since \d\d:\d\d: legacy.*; the last good/m],
    ['flags', 'flags.json', /^flags file +\S*flags\.json rejected since \d\d:\d\d: is not JSON.*; the last good/m],
  ])('is reported in status, /readyz and the metrics until it is valid: the %s', async (file, name, line) => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const gateway = await startGateway(shop({ legacy: legacy.url, service: service.url }), TO_SERVICE)
    const path = join(gateway.folder, name)
    const metric = () => gateway.metric(`strangler_config_rejected{file="${file}"}`)
    const good = await readFile(path, 'utf8')
    expect(await metric()).toBe(0)
    expect((await gateway.readyz()).body.rejectedFiles).toEqual([])

    await replace(path, file === 'map' ? '{ "legacy": 7 }' : '{')
    await until(async () => (await metric()) === 1)
    const { status, body } = await gateway.readyz()
    expect(status).toBe(200)
    expect(body.rejectedFiles).toEqual([{ file, path, since: expect.any(Number), mistake: expect.any(String) }])
    expect(await statusOf(gateway)).toMatch(line)

    await replace(path, good)
    await until(async () => (await metric()) === 0)
    expect((await gateway.readyz()).body.rejectedFiles).toEqual([])
    expect(await statusOf(gateway)).not.toContain('rejected')
  })
})

describe('a service that refuses connections', () => {
  it('is shown as unavailable, with the address, the failure and the end of the ejection, until it answers again', async () => {
    const legacy = await startNamedOrigin('legacy')
    const clock = adjustableClock()
    let isDead = true
    const service = await startRawOrigin((socket) =>
      isDead ? void socket.resetAndDestroy() : void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
    )
    const gateway = await startGateway(shop({ legacy: legacy.url, service: service.url }), { ...TO_SERVICE, clock })
    const read = () => sendRequest({ port: gateway.port, path: '/products' })
    expect(await statusOf(gateway)).not.toContain('navailable')
    for (let i = 0; i < 10; i++) await read()

    const text = await statusOf(gateway)
    expect(text).toMatch(/^catalog .* service: UNAVAILABLE /m)
    expect(text).toMatch(/^catalog: no address of its service is available: legacy answers reads, and writes get 503$/m)
    expect(text).toMatch(
      /^catalog: http:\/\/127\.0\.0\.1:\d+ is unavailable since \d\d:\d\d \(connection-lost\), until \d\d:\d\d \(in \d+ s\)$/m,
    )

    isDead = false
    clock.advance(30_000)
    await read()
    expect(await statusOf(gateway)).not.toContain('navailable')
  })
})
